"""The outputs of a beam search as steps. Used by `engine.py`."""

from collections.abc import Sequence

from msgspec.structs import replace

from alcove.engines.ctranslate2.library import Tokens
from alcove.engines.ctranslate2.row import Row
from alcove.engines.ctranslate2.tables import Tables
from alcove.runs import Step


def beam_steps(
    row: Row, outputs: Sequence[Tokens], scores: Sequence[float], tables: Tables, ends: Sequence[int]
) -> list[Step]:
    """The run's best outputs, one step each; `outputs` are the library's, with their ends, `scores` divided by
    their lengths to the power of the length penalty, the end and a forced first token counted."""
    steps = [_step(row, output, score, tables, ends) for output, score in zip(outputs, scores, strict=True)]
    steps.sort(key=lambda step: step.score or 0.0, reverse=True)
    return [
        replace(step, output=number, prompt_logprobs=row.first_news())
        for number, step in enumerate(steps[: row.run.outputs])
    ]


def _step(row: Row, output: Tokens, score: float, tables: Tables, ends: Sequence[int]) -> Step:
    ids = [tables.target.tokenizer_id_of(token) for token in output]
    end_ids = {tables.target.tokenizer_id(end) for end in ends}
    made = ids[row.forced :]
    if made and made[-1] in end_ids:
        return Step(run=row.run.id, tokens=tuple(made[:-1]), finish="stop", score=score)
    if not made:  # a source without content, see `engine.py`
        return Step(run=row.run.id, finish="stop", score=score)
    if row.run.forced_eos is not None:
        # transformers forces an end behind it, which adds nothing to the sum but is counted in the length
        penalty = row.run.options.length_penalty
        score *= (len(ids) / (len(ids) + 1)) ** (1.0 if penalty is None else penalty)
    return Step(run=row.run.id, tokens=tuple(made), finish="length", score=score)
