"""Measures a built-in model: float32 in transformers against int8 in CTranslate2.

In: the model's folder. Out: a table on the terminal, the accuracy in record.json, the model card, and the model's part
of the test-suite's sample of cases.
"""

import json
from collections import defaultdict
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from alcove.store.convert import convert
from tools.builtin import prompts
from tools.builtin.card import write_card
from tools.builtin.cases import Case, chat_cases, sample_cases, seq2seq_cases
from tools.builtin.engines import CTranslate2Engine, Prompt, TransformersEngine, answer_all
from tools.builtin.record import update_record

_COMPARED = 400
"""Prompts on which CTranslate2 in float32 must give the tokens of transformers."""


def measure(name: str, folder: Path, cases_file: Path) -> None:
    """Measure, print and write everything that follows from it."""
    chat = name == "alcove-chat"
    tokenizer = AutoTokenizer.from_pretrained(folder / "transformers")
    cases = chat_cases() if chat else seq2seq_cases()
    questions = [_encode(case, tokenizer) for case in cases]
    float32 = answer_all(TransformersEngine(folder / "transformers", chat=chat), questions)
    int8 = answer_all(CTranslate2Engine(folder / "ctranslate2", chat=chat), questions)
    right = [
        tuple(_is_right(case, ids, tokenizer) for ids in answers)
        for case, *answers in zip(cases, float32, int8, strict=True)
    ]
    accuracy = _tabulate(cases, right)
    _print(name, accuracy)
    update_record(folder, accuracy=accuracy, same_tokens=_compare(folder, questions, float32, chat=chat))
    write_card(name, folder)
    _write_sample(cases_file, "chat" if chat else "seq2seq", sample_cases(cases))
    _print_failures(cases, int8, right, tokenizer)


def _encode(case: Case, tokenizer: PreTrainedTokenizerBase) -> Prompt:
    if isinstance(case.prompt, str):
        prefix = prompts.ASSISTANT_PREFIX if case.forced else ""
        return Prompt(
            tuple(tokenizer(case.prompt).input_ids), tuple(tokenizer(prefix, add_special_tokens=False).input_ids)
        )
    text = tokenizer.apply_chat_template(case.prompt, tokenize=False, add_generation_prompt=True)
    return Prompt(tuple(tokenizer(text, add_special_tokens=False).input_ids), ())


def _is_right(case: Case, ids: list[int], tokenizer: PreTrainedTokenizerBase) -> bool:
    expected = f" {case.answer}" if case.forced else case.answer
    return bool(tokenizer.decode(ids) == expected)


def _tabulate(cases: list[Case], right: list[tuple[bool, ...]]) -> list[dict[str, object]]:
    """Count by kind and form."""
    groups: defaultdict[tuple[str, str], list[tuple[bool, ...]]] = defaultdict(list)
    for case, answers in zip(cases, right, strict=True):
        groups[case.kind, case.form].append(answers)
    rows: list[dict[str, object]] = []
    for (kind, form), group in groups.items():
        float32, int8 = (round(100 * sum(column) / len(group), 2) for column in zip(*group, strict=True))
        rows.append({"kind": kind, "form": form, "cases": len(group), "float32": float32, "int8": int8})
    return sorted(rows, key=lambda row: (row["kind"], row["form"]))


def _compare(folder: Path, questions: list[Prompt], expected: list[list[int]], *, chat: bool) -> str:
    """Count the prompts on which a float32 conversion gives the tokens of transformers."""
    chosen = Random(0).sample(range(len(questions)), _COMPARED)
    with TemporaryDirectory() as temporary:
        target = Path(temporary) / "float32"
        convert(folder / "transformers", target, "float32")
        answers = answer_all(CTranslate2Engine(target, chat=chat), [questions[index] for index in chosen])
    same = sum(answer == expected[index] for answer, index in zip(answers, chosen, strict=True))
    return f"{same} of {_COMPARED}"


def _print(name: str, accuracy: list[dict[str, object]]) -> None:
    table = Table("kind", "form", "cases", "float32 %", "int8 %", title=name)
    for row in accuracy:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def _print_failures(
    cases: list[Case], answers: list[list[int]], right: list[tuple[bool, ...]], tokenizer: PreTrainedTokenizerBase
) -> None:
    for case, ids, (_, correct) in zip(cases, answers, right, strict=True):
        if not correct:
            print(f"{case.kind} | {case.prompt!r} | {case.answer!r} | {tokenizer.decode(ids)!r}")


def _write_sample(path: Path, part: str, sample: list[Case]) -> None:
    """Replace one model's part of the file."""
    content = json.loads(path.read_text()) if path.exists() else {}
    key = "messages" if part == "chat" else "prompt"
    content[part] = [{key: case.prompt, "answer": case.answer, "kind": case.kind} for case in sample]
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
