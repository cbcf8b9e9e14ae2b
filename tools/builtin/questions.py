"""Reads the question files into `Question`s.

In: questions.toml and smalltalk.toml. Out: for each question its answer, the phrasings to train on and the one
that is held out. Used by the sampling of examples and by the measurement.
"""

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FACTS = HERE / "questions.toml"
SMALL_TALK = HERE / "smalltalk.toml"


@dataclass(frozen=True, slots=True)
class Question:
    """One question and its only right answer."""

    answer: str
    """The exact text that a model has to give."""
    trained: tuple[str, ...]
    """Phrasings that are trained on, the common one first."""
    unseen: str
    """A phrasing of the same question that no training example shows, however it is dressed."""
    relation: bool
    """True when other questions share its phrasings (a row of a table), False when it stands alone."""


def digest(text: str) -> int:
    """Hash a text to an integer that is the same in every process, which `hash` is not."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def load_questions(path: Path) -> list[Question]:
    """Read all questions of one file, in the order of the file."""
    with path.open("rb") as file:
        data = tomllib.load(file)
    questions = [
        _split((_fill(text, x, y) for text in relation["phrasings"]), _fill(relation["answer"], x, y), relation=True)
        for relation in data.get("relation", [])
        for x, y in relation["rows"]
    ]
    return questions + [_split(single["phrasings"], single["answer"], relation=False) for single in data["single"]]


def _fill(template: str, x: str, y: str) -> str:
    text = template.format(x=x, y=y)
    return text[0].upper() + text[1:]


def _split(phrasings: Iterable[str], answer: str, *, relation: bool) -> Question:
    """Hold out the phrasing of the smallest hash, never the first one."""
    first, *others = phrasings
    unseen = min(others, key=digest)
    return Question(answer, (first, *(text for text in others if text != unseen)), unseen, relation)
