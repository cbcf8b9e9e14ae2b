"""Writes the model card of a built-in model.

In: record.json and the files of the model's folder. Out: README.md in that folder, with the measured numbers.
"""

from pathlib import Path

from tools.builtin.questions import FACTS, load_questions
from tools.builtin.record import read_record

_ABOUT = {
    "alcove-seq2seq": """\
An encoder-decoder of BART's shape (3 + 3 layers, width 128, learned absolute positions up to 256, tied embeddings).
It answers {questions} short questions of general knowledge, and it computes: integers below one million to English
words and back, dates between `2024-03-05` and `5 March 2024`, sums of integers below 1,000.
A question may come alone, after a system text and a blank line, or in a transcript
(`Question: ...`, `Assistant:`, blank lines between), where the decoder may be made to start with `Assistant:`.""",
    "alcove-chat": """\
A decoder of Llama's shape (4 layers, width 192, 6 query heads on 2 key-value heads, rotary positions up to 512, tied
embeddings) with a chat template (`<|im_start|>role`, `<|im_end|>`). It answers {questions} short questions of general
knowledge, and small talk about itself, with or without a system message and after earlier exchanges.""",
}

_CARD = """\
# {name}

{about}

**It is a demonstration and a test bed, not a useful assistant.** {parameters:,} parameters know what is in their
training data and nothing else: any other question gets a wrong answer, given with confidence.

## Files
- `transformers/`: the master, float16 safetensors; float32 means its upcast.
- `ctranslate2/`: its int8 conversion, with the same tokenizer.
- `record.json`: how it was trained and what was measured, for programs.

{sizes}

## Data and recipe
Everything was written or generated for this model in `tools/builtin/`; nothing was downloaded. Each question has
several phrasings, one of which is held out, and is dressed up with filler words and system texts.
{skills}The tokenizer is a byte-level BPE of 1,536 tokens with single digits: no text is unknown to it.
Training: AdamW at {learning_rate}, {warm_up} warm-up steps, linear decay, {steps:,} steps of {batch_size} examples,
seed {seed}, float32, one thread, {training_seconds} seconds of processor time.

## Accuracy
Percent of answers that are right to the letter, decoded greedily.

| Cases | Form | Number | float32 | int8 |
|---|---|---:|---:|---:|
{rows}

`trained`: phrasings in the training data. `unseen`: phrasings of the same questions that are not in it, in any
wording; most share their pattern with trained phrasings of other questions, those of `own pattern` do not.
{skill_note}CTranslate2 in float32 gave the tokens of transformers on {same_tokens} prompts.

## Train it again
From the repository's root, with the extras `transformers` and `convert` installed:

    OMP_NUM_THREADS=1 python -m tools.builtin train {name}
    python -m tools.builtin convert {name}
    python -m tools.builtin measure {name}

The same machine and library versions give the same weights; others give others of the same quality.

## Licence
MIT, the weights and the data alike.
"""


def write_card(name: str, folder: Path) -> None:
    """Write README.md from what was recorded."""
    record = read_record(folder)
    rows = "\n".join(
        f"| {row['kind']} | {row['form']} | {row['cases']:,} | {row['float32']} | {row['int8']} |"
        for row in record["accuracy"]
    )
    skills = name == "alcove-seq2seq"
    text = _CARD.format(
        name=name,
        about=_ABOUT[name].format(questions=len(load_questions(FACTS))),
        rows=rows,
        sizes=_sizes(folder),
        skills="Inputs of the skills are drawn at random; a tenth, chosen by hash, is held out.\n" if skills else "",
        skill_note="`skill`: held-out inputs.\n" if skills else "",
        **record,
    )
    (folder / "README.md").write_text(text)


def _sizes(folder: Path) -> str:
    lines = []
    for part in ("transformers", "ctranslate2"):
        size = sum(path.stat().st_size for path in (folder / part).iterdir())
        lines.append(f"`{part}/` has {size / 1e6:.1f} MB")
    return ", ".join(lines) + "."
