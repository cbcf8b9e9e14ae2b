"""Rewords a question without changing its answer, and makes up system texts.

In: a question and a random generator. Out: the question in other words (fillers, contractions, case, punctuation).
The words come from wording.toml. Without this, models of this size fail on phrasings they have not seen.
"""

import re
import tomllib
from pathlib import Path
from random import Random

with (Path(__file__).parent / "wording.toml").open("rb") as _file:
    _WORDS = tomllib.load(_file)

_SWAPS: list[tuple[str, str]] = [
    *((a, b) for a, b in _WORDS["swaps"]),
    *((b, a) for a, b in _WORDS["swaps"]),
    *((a, b) for a, b in _WORDS["replacements"]),
]
_CONTRACTIONS = {"what's": "what is", "who's": "who is", "where's": "where is", "i'm": "i am", "i'd": "i would"}
_QUESTION_WORD = re.compile(r"(What|Who|Where|Which|How|When)\b")
_INVERTIBLE = re.compile(r"(What|Who|Where) is (the [^?]+)\?$")


def normal_form(text: str) -> str:
    """Reduce a text to its words, so that two ways to write the same phrasing compare equal."""
    text = text.lower()
    for short, full in _CONTRACTIONS.items():
        text = text.replace(short, full)
    return " ".join(re.findall(r"\w+", text))


def reword(question: str, rng: Random) -> str:
    """Put a question in other words; about a third come back as they are."""
    if rng.random() < 0.35:
        return question
    if rng.random() < 0.5:
        question = _swap_words(question, rng)
    if question[-1] in "?.!":
        question = _add_fillers(question, rng)
    return _change_surface(question, rng)


def add_prefix(question: str, rng: Random) -> str:
    """Put a filler before a question, and nothing else."""
    prefix: str = rng.choice(_WORDS["prefixes"])
    return prefix + _lower_first(question)


def system_text(rng: Random) -> str:
    """Make up a system text of one or two sentences."""
    if rng.random() < 0.2:
        return str(rng.choice(_WORDS["plain_systems"]))
    manner, role = rng.choice(_WORDS["manners"]), rng.choice(_WORDS["roles"])
    if rng.random() < 0.2:
        manner = f"{manner} and {rng.choice(_WORDS['manners'])}"
    article = "an" if manner[0] in "aeiou" else "a"
    text = f"{rng.choice(_WORDS['openings'])} {article} {manner} {role}."
    if rng.random() < 0.3:
        text += " " + rng.choice(_WORDS["rules"])
    return text


def _swap_words(question: str, rng: Random) -> str:
    for old, new in rng.sample(_SWAPS, len(_SWAPS)):
        swapped = re.sub(rf"\b{re.escape(old)}(?!\w)", new, question, count=1)
        if swapped != question:
            return swapped
    return question


def _add_fillers(question: str, rng: Random) -> str:
    draw = rng.random()
    if draw < 0.35:
        question = add_prefix(question, rng)
    elif draw < 0.55 and _QUESTION_WORD.match(question):
        question = _make_indirect(question, rng)
    if rng.random() < 0.2:
        question += rng.choice(_WORDS["suffixes"])
    return question


def _make_indirect(question: str, rng: Random) -> str:
    lead = rng.choice(_WORDS["indirect"])
    inner = _INVERTIBLE.sub(r"\1 \2 is?", question) if rng.random() < 0.7 else question
    if not lead.startswith(("Can", "Could", "Do")):
        inner = inner.rstrip("?") + "."
    return f"{lead} {_lower_first(inner)}"


def _change_surface(question: str, rng: Random) -> str:
    draw = rng.random()
    if draw < 0.2:
        question = question.rstrip("?.")
    elif draw < 0.24 and question.endswith("?"):
        question = question[:-1] + rng.choice(["??", " ?", "?!"])
    draw = rng.random()
    if draw < 0.15:
        return question.lower()
    return _lower_first(question) if draw < 0.25 else question


def _lower_first(text: str) -> str:
    return text if re.match(r"I\b", text) else text[0].lower() + text[1:]
