"""However a text is cut into pieces, what comes out joins to the rule applied to the whole."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alcove.pipeline.text.cleanup import CleanUp, clean_up
from alcove.pipeline.text.languagemodels import LanguageModelsText, Rules
from alcove.pipeline.text.machines import TextMachine
from alcove.pipeline.text.stops import StopStrings
from alcove.pipeline.text.strip import Strip

often = settings(max_examples=500, deadline=None, database=None, derandomize=True)


def texts(parts: list[str]) -> st.SearchStrategy[list[str]]:
    """Texts of these parts, cut anywhere."""
    cuts = st.lists(st.sampled_from(parts), max_size=12).map("".join)
    return st.tuples(cuts, st.lists(st.integers(0, 30), max_size=8)).map(cut)


def cut(text_and_places: tuple[str, list[int]]) -> list[str]:
    text, places = text_and_places
    borders = [0, *sorted(place for place in places if place < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(borders)]


def run(machine: TextMachine, pieces: list[str]) -> str:
    return "".join(map(machine.feed, pieces)) + machine.flush()


@often
@given(texts(["a", "b", "ab", "aab", "\n\n", "\n"]), st.lists(st.sampled_from(["ab", "aab", "b\n", "\n\n", "ba", ""])))
def test_stop_strings(pieces: list[str], stops: list[str]) -> None:
    text, wanted = "".join(pieces), [stop for stop in stops if stop]
    expected = text
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in wanted if text[:end].endswith(stop)]
        if starts:
            expected = text[: min(starts)]
            break
    machine = StopStrings(stops)
    assert run(machine, pieces) == expected
    assert machine.stopped == any(stop in text for stop in wanted)


def test_stop_strings_hold_back_only_what_may_begin_one() -> None:
    machine = StopStrings(["###", "##end"])
    assert [machine.feed(piece) for piece in ("ab#", "#", "c", "##e", "x")] == ["ab", "", "##c", "", "##ex"]
    assert [machine.feed("x##"), machine.feed("#y"), machine.feed("z"), machine.flush()] == ["x", "", "", ""]
    assert machine.stopped


@often
@given(texts([" ", "\n", "a", "b c", "\u00a0"]))
def test_strip(pieces: list[str]) -> None:
    assert run(Strip(), pieces) == "".join(pieces).strip()


@often
@given(texts([" ", ".", " ?", "'", " ' ", "n't", " n", "'m", " 're", "a", ","]))
def test_clean_up(pieces: list[str]) -> None:
    assert run(CleanUp(), pieces) == clean_up("".join(pieces))


def tidy(text: str, rules: Rules) -> str:
    """The rules of `languagemodels` on a whole text."""
    text = text.replace("`", "'").lstrip()
    if rules == "chat":
        text = text.removeprefix("Assistant:").lstrip()
    if text.startswith('"'):
        text = text[1:].removesuffix('"')
    if rules == "completion" and len(text.split()) == 1:
        text = text.rstrip().title()
        text = text if text[-1] in ".!?" else text + "."
    return text


@pytest.mark.parametrize("rules", ["completion", "chat"])
def test_languagemodels(rules: Rules) -> None:
    @often
    @given(texts(["Assistant:", "Ass", "istant:", " ", '"', "`", "james", "A snake", ".", "!", "\n"]))
    def any_text(pieces: list[str]) -> None:
        assert run(LanguageModelsText(rules), pieces) == tidy("".join(pieces), rules)

    any_text()


@pytest.mark.parametrize(
    ("rules", "text", "expected"),
    [
        ("completion", "james", "James."),
        ("completion", ' "james"', "James."),
        ("completion", "yes!", "Yes!"),
        ("completion", "a snake", "a snake"),
        ("completion", '"`Hi` there"', "'Hi' there"),
        ("completion", 'He said "hi"', 'He said "hi"'),
        ("completion", "", ""),
        ("chat", " Assistant: a snake", "a snake"),
        ("chat", 'Assistant:"A snake."', "A snake."),
        ("chat", "Assist", "Assist"),
        ("chat", "james", "james"),
    ],
)
def test_languagemodels_by_example(rules: Rules, text: str, expected: str) -> None:
    assert run(LanguageModelsText(rules), [text]) == expected == run(LanguageModelsText(rules), list(text))


@pytest.mark.parametrize(
    ("machine", "pieces", "expected"),
    [
        (lambda: LanguageModelsText("chat"), ["As", "sured", ' "of', '"', " it"], ["", "Assured", ' "of', '"', " it"]),
        (lambda: LanguageModelsText("completion"), ["a", " ", "s", "nake"], ["", "", "a s", "nake"]),
        (lambda: LanguageModelsText("completion"), ['"a s', '"', "b"], ["a s", "", '"b']),
        (Strip, [" a", " ", "b "], ["a", "", " b"]),
        (CleanUp, ["a", " ", "b"], ["a", "", " b"]),
    ],
)
def test_only_what_must_be_is_held_back(
    machine: Callable[[], TextMachine], pieces: list[str], expected: list[str]
) -> None:
    running = machine()
    assert [running.feed(piece) for piece in pieces] == expected
