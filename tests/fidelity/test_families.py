"""Every family of the zoo on every engine that runs it, against transformers called directly in float32.

`docs/families.md` is held to what is tested here.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from alcove.config.settings import ModelSettings
from alcove.engines.base import BatchEngine, Vocabulary
from alcove.engines.registry import open_engine
from alcove.errors import ModelLoadError
from alcove.jobs import Message
from alcove.pipeline.prompts.prompter import Prompter
from alcove.pipeline.tokenizer import Tokenizer, load_tokenizer
from alcove.runs import DEFAULT_OPTIONS, Options, Run, Step
from alcove.store.convert import convert
from alcove.store.folder import ModelFolder
from alcove.store.recognise import recognise

from ..sinks import Sink
from ..zoo.text import PROMPTS, sentences
from .reference import TIE, Answer, Reference

FAMILIES = (
    *("t5", "t5-untied", "mt5", "umt5", "bart", "mbart", "mbart50", "pegasus", "marian", "m2m100", "nllb"),
    *("gpt2", "opt", "gpt-neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "phi"),
)
REFUSED = ("gpt-neox", "phi")
"""Families that CTranslate2 does not run."""
TEMPLATES = ("llama", "mistral", "qwen2", "qwen3", "gemma")
CASES = [
    *(("transformers", name) for name in FAMILIES),
    *(("ctranslate2", name) for name in FAMILIES if name not in REFUSED),
]
TEXTS = (*PROMPTS, *sentences(4, seed=11))
MAX_TOKENS = 20
MOST_TIES = 0.01
"""Share of cases that may part from transformers where two tokens are equally probable."""
PLAIN = Options(temperature=0.0, num_beams=1, repetition_penalty=1.0)
BEAMS = Options(temperature=0.0, num_beams=4, early_stopping=True, length_penalty=1.0, repetition_penalty=1.0)


@dataclass
class Family:
    """A folder in both layouts and in the oracle, whose answers are kept: both engines are asked the same."""

    transformers: ModelFolder
    ctranslate2: ModelFolder | None
    reference: Reference
    answers: dict[tuple[Any, ...], list[Answer]] = field(default_factory=dict)

    def answer(self, run: Run) -> list[Answer]:
        key = (run.tokens, run.options.num_beams, run.max_new_tokens, run.forced_eos)
        if key not in self.answers:
            self.answers[key] = self.reference.answer(run)
        return self.answers[key]


@dataclass
class Opened:
    family: Family
    engine: BatchEngine
    tokenizer: Tokenizer

    def run_for(self, text: str, options: Options = PLAIN, **fields: Any) -> Run:
        """A run with the model's own wishes below `options`, as the pipeline makes it."""
        own = self.family.transformers.generation
        return Run(
            id=f"family-{next(_numbers)}",
            tokens=self.family.reference.encode(text),
            **{"max_new_tokens": MAX_TOKENS, "forced_bos": own.forced_bos, "forced_eos": own.forced_eos, **fields},
            options=options.over(own.options).over(DEFAULT_OPTIONS),
        )

    def drive(self, runs: list[Run]) -> dict[tuple[str, int], list[Step]]:
        """As the batcher does: what may share a batch does, what comes back goes on. Steps by run and output."""
        steps: dict[tuple[str, int], list[Step]] = {}

        def sink(step: Step) -> bool:
            steps.setdefault((step.run, step.output), []).append(step)
            return False

        waiting = list(runs)
        for run in waiting:
            self.engine.check(run)
        while waiting:
            key = self.engine.batch_key(waiting[0])
            batch = [run for run in waiting if self.engine.batch_key(run) == key]
            rest = [run for run in waiting if run not in batch]
            waiting = [*self.engine.run(batch, Sink(sink)), *rest]
        return steps


Open = Callable[[str, str], Opened]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def family(zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Family]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("families")

    @cache
    def make(name: str) -> Family:
        source, target = zoo(name), None
        if name not in REFUSED:
            convert(source, root / name, "float32")
            target = recognise(root / name)
        return Family(recognise(source), target, Reference(source))

    return make


@pytest.fixture(scope="module")
def opened(family: Callable[[str], Family]) -> Open:
    """`opened(engine, name)`: a family in an engine."""

    @cache
    def open_once(engine: str, name: str) -> Opened:
        its = family(name)
        folder = getattr(its, engine)
        settings = ModelSettings(name=name, source=str(folder.path), device="cpu", threads=1, workers=1)
        tokenizer = load_tokenizer(folder, settings)
        vocabulary = Vocabulary(tokenizer.source_tokens, tokenizer.target_tokens)
        return Opened(its, open_engine(folder, settings, vocabulary), tokenizer)

    return open_once


def tokens_of(steps: list[Step]) -> tuple[int, ...]:
    return tuple(token for step in steps for token in step.tokens)


def part(model: Opened, run: Run, got: tuple[int, ...], expected: tuple[int, ...]) -> str | None:
    """None where both are equal, "tie" where they part at two tokens that the model holds equally probable, else what
    is wrong."""
    if got == expected:
        return None
    pairs = enumerate(zip(got, expected, strict=False))
    place = next((i for i, (mine, theirs) in pairs if mine != theirs), None)
    if place is None:
        return f"{len(got)} tokens instead of {len(expected)}: {got} / {expected}"
    probabilities = model.family.reference.next_log_probabilities(run, expected[:place])
    apart = abs(float(probabilities[got[place]] - probabilities[expected[place]]))
    return "tie" if apart < TIE else f"token {place} is {got[place]} instead of {expected[place]}, {apart} apart"


@pytest.fixture(scope="module")
def greedy(opened: Open) -> Callable[[str, str], list[str | None]]:
    """`greedy(engine, name)`: how each prompt's answer parts from the oracle's, alone and batched."""

    @cache
    def compare(engine: str, name: str) -> list[str | None]:
        model = opened(engine, name)
        runs = [model.run_for(text, max_new_tokens=MAX_TOKENS - number) for number, text in enumerate(TEXTS)]
        together = model.drive(runs)
        alone = {key: steps for run in runs for key, steps in model.drive([run]).items()}
        found: list[str | None] = []
        for steps in (together, alone):
            for run in runs:
                (expected,) = model.family.answer(run)
                found.append(part(model, run, tokens_of(steps[run.id, 0]), expected.tokens))
        return found

    return compare


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_greedy_tokens_alone_and_batched(
    greedy: Callable[[str, str], list[str | None]], engine: str, name: str
) -> None:
    assert {found for found in greedy(engine, name) if found not in (None, "tie")} == set()


def test_few_answers_part_at_ties(
    greedy: Callable[[str, str], list[str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = [case for engine, name in CASES for case in greedy(engine, name)]
    share = found.count("tie") / len(found)
    with capsys.disabled():
        print(f"\n{found.count('tie')} of {len(found)} greedy answers part at a tie ({share:.2%})")
    assert share <= MOST_TIES


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_beam_hypotheses_and_scores(opened: Open, engine: str, name: str) -> None:
    model = opened(engine, name)
    assert_beams(model, [model.run_for(text, BEAMS, max_new_tokens=12, outputs=4, forced_eos=None) for text in PROMPTS])


FORCING = ("bart", "mbart", "mbart50", "pegasus", "marian")
"""Families whose generation defaults force an end at the limit."""


@pytest.mark.parametrize(("engine", "name"), [case for case in CASES if case[1] in FORCING])
def test_best_beam_where_the_end_is_forced(opened: Open, engine: str, name: str) -> None:
    """On CTranslate2 one of the others may be missing then: see its engine's `_search_beams`."""
    model = opened(engine, name)
    runs = [model.run_for(text, BEAMS, max_new_tokens=12, outputs=4) for text in PROMPTS]
    assert all(run.forced_eos is not None for run in runs)
    assert_beams(model, runs, best=1 if engine == "ctranslate2" else 4)


def assert_beams(model: Opened, runs: list[Run], best: int = 4) -> None:
    steps = model.drive(runs)
    for run in runs:
        got = [steps[run.id, output] for output in range(best)]
        expected = model.family.answer(run)
        scores = [answer.score for answer in expected[:best]]
        assert [its[-1].score for its in got] == pytest.approx(scores, abs=1e-3)
        for its, answer in zip(got, expected, strict=False):
            # hypotheses of one score may change places
            equals = [other.tokens for other in expected if abs(other.score - answer.score) < TIE]
            assert tokens_of(its) in equals


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_log_probabilities(opened: Open, engine: str, name: str) -> None:
    model = opened(engine, name)
    assert "logprobs" in model.engine.capabilities.options
    runs = [model.run_for(text, max_new_tokens=10, logprobs=5) for text in PROMPTS]
    steps = model.drive(runs)
    for run in runs:
        tokens = tokens_of(steps[run.id, 0])
        entries = [entry for step in steps[run.id, 0] for entry in step.logprobs]
        assert tokens
        ended = steps[run.id, 0][-1].finish == "stop"  # the end has an entry, too
        assert len(entries) == len(tokens) + ended
        for place, entry in enumerate(entries):
            expected = model.family.reference.next_log_probabilities(run, tokens[:place])
            ends = model.family.transformers.generation.eos
            token = tokens[place] if place < len(tokens) else max(ends, key=lambda end: expected[end])
            assert entry.logprob == pytest.approx(float(expected[token]), abs=1e-3)
            *_, fifth, sixth = expected.topk(6).values.tolist()
            if fifth - sixth > TIE:
                assert {i for i, _ in entry.top} == set(expected.topk(5).indices.tolist())
            for i, logprob in entry.top:
                assert logprob == pytest.approx(float(expected[i]), abs=1e-3)


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_ids_and_texts_are_those_of_its_tokenizer(opened: Open, engine: str, name: str) -> None:
    model = opened(engine, name)
    oracle = model.family.reference.tokenizer
    for text in TEXTS:
        ids = model.family.reference.encode(text)
        assert model.tokenizer.encode(text) == ids
        machine = model.tokenizer.stream()
        decoded = "".join(machine.feed([i]) for i in ids) + machine.flush()
        assert decoded == oracle.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


CHATS = (
    [("user", "Hello, Zoë 🦎")],
    [("user", " Who are\nyou? "), ("assistant", "A model."), ("user", "日本語?")],
    [("system", "Be brief."), ("user", "<b>why</b>")],
)


@pytest.mark.parametrize("turns", CHATS)
@pytest.mark.parametrize(("engine", "name"), [case for case in CASES if case[1] in TEMPLATES])
def test_chat_prompts_are_those_of_its_template(
    opened: Open, engine: str, name: str, turns: list[tuple[str, str]]
) -> None:
    if name == "gemma" and turns[0][0] == "system":
        turns = turns[1:]  # its template refuses one
    model = opened(engine, name)
    folder = getattr(model.family, engine)
    prompter = Prompter(folder, ModelSettings(name=name, source=str(folder.path)), model.tokenizer)
    prepared = prompter.chat([Message(role=role, content=content) for role, content in turns])
    messages = [{"role": role, "content": content} for role, content in turns]
    oracle = model.family.reference.tokenizer
    assert prepared.text == oracle.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = oracle.apply_chat_template(messages, tokenize=True, return_dict=False, add_generation_prompt=True)
    assert model.tokenizer.encode(prepared.text, special=prepared.special) == tuple(ids)


@pytest.mark.parametrize("name", REFUSED)
def test_what_ctranslate2_does_not_run_is_refused_with_the_remedy(
    zoo: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    with pytest.raises(ModelLoadError, match=r"CTranslate2's converter .*; serve it with engine = \"transformers\"$"):
        convert(zoo(name), tmp_path / name, "float32")
    assert not (tmp_path / name).exists()


def test_the_table_in_the_docs_names_every_family() -> None:
    page = (Path(__file__).parents[2] / "docs" / "families.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "`" in line[:8]]
    table = {name.strip("` "): row for row in rows for name in row[0].split(",")}
    for name in FAMILIES:
        _, transformers, ctranslate2, _ = table[name]
        assert (transformers, ctranslate2) == ("yes", "no" if name in REFUSED else "yes")
