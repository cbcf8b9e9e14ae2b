"""A whole answer is the fold of a stream's chunks."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcove.jobs import Event, TokenText
from alcove.protocol.logprobs import completion_text, completion_top, prompt_logprobs
from alcove.protocol.render import ChatRenderer, CompletionRenderer

numbers = st.floats(-50, 0)
contents = st.binary(max_size=3)


def token(content: bytes, logprob: float | None, top: tuple[TokenText, ...] = (), id: int = 0) -> TokenText:
    return TokenText(id, content.decode(errors="replace"), content, logprob, top, offset=len(content))


tokens = st.builds(token, contents, numbers, st.lists(st.builds(token, contents, numbers), max_size=2).map(tuple))
pieces = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.text(max_size=3), st.lists(tokens, max_size=2)), max_size=20
)


def events_of(pieces: list[tuple[int, int, str, list[TokenText]]]) -> list[Event]:
    events = [
        Event(
            job=job, output=output, text=text, tokens=len(told), logprobs=tuple(told), ids=tuple(range(len(told)))
        )
        for job, output, text, told in pieces
    ]  # fmt: skip
    ends = [Event(job=job, output=output, finish="stop", prompt_tokens=3) for job in (0, 1) for output in (0, 1)]
    return events + ends


def plain(wire: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(wire))


@given(pieces=pieces, told=st.booleans())
def test_fold(pieces: list[tuple[int, int, str, list[TokenText]]], told: bool) -> None:
    events = events_of(pieces)
    of = [[event for event in events if event.job * 2 + event.output == index] for index in range(4)]
    texts = ["".join(event.text for event in events) for events in of]
    known = [[token for event in events for token in event.logprobs] for events in of]
    ids = [[i for event in events for i in event.ids] for events in of]
    count = sum(event.tokens for event in events)

    completion = CompletionRenderer("m", 2, logprobs=told, token_ids=told)
    chunks = [chunk for event in events if (chunk := completion.chunk(event))]
    whole = completion.fold([*chunks, completion.usage()])
    assert [choice.text for choice in whole.choices] == texts
    assert [choice.finish_reason for choice in whole.choices] == ["stop"] * 4
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (12, count)

    chat = ChatRenderer("m", 2, logprobs=told, token_ids=told)
    pieces_of_chat = [chunk for event in events if (chunk := chat.chunk(event))]
    answer = chat.fold([*pieces_of_chat, chat.usage()])
    assert [choice.message.content for choice in answer.choices] == texts
    assert answer.usage == whole.usage
    roles = [choice.index for chunk in pieces_of_chat for choice in chunk.choices if choice.delta.role]
    assert sorted(roles) == [0, 1, 2, 3]

    for choice, spoken, expected, listed in zip(whole.choices, answer.choices, known, ids, strict=True):
        assert plain(choice).get("token_ids") == plain(spoken).get("token_ids") == (listed if told else None)
        if not told:
            assert choice.logprobs is None
            assert spoken.logprobs is None
            continue
        assert choice.logprobs is not None
        assert spoken.logprobs is not None
        assert choice.logprobs.token_logprobs == [one.logprob for one in expected]
        assert choice.logprobs.tokens == [completion_text(one) for one in expected]
        assert choice.logprobs.text_offset == [one.offset for one in expected]
        assert [bytes(one.bytes) for one in spoken.logprobs.content] == [one.bytes for one in expected]
        assert [len(one.top_logprobs) for one in spoken.logprobs.content] == [len(one.top) for one in expected]


def test_names_of_tokens() -> None:
    assert completion_text(token("é".encode(), 0)) == "é"
    assert completion_text(token(b"\xc3", 0)) == "bytes:\\xc3"
    top = completion_top(token(b"a", -3.0, (token(b"b", -1.0), token(b"a", -2.0, id=7))))
    assert top == {"b": -1.0, "a": -2.0}
    assert completion_top(token(b"a", None)) is None


def test_what_is_impossible_is_a_number() -> None:
    never = token(b"a", float("-inf"), (token(b"b", float("-inf"), id=1),))
    assert completion_top(never) == {"a": -9999.0, "b": -9999.0}
    assert plain(prompt_logprobs([never]))[0]["0"]["logprob"] == -9999.0


def test_a_prompt_is_told_once() -> None:
    known = (token(b"a", None), token(b"b", -1.0, (token(b"c", -0.5, id=9), token(b"b", -1.0, id=3)), id=3))
    first = Event(job=0, text="x", prompt_ids=(1, 3), prompt_logprobs=known)
    second = Event(job=0, output=1, text="y", prompt_ids=(1, 3), prompt_logprobs=known, finish="stop")
    last = Event(job=0, text="z", finish="stop", stop="!")
    chat = ChatRenderer("m", 2, token_ids=True)
    chunks = [chunk for event in (first, second, last) if (chunk := chat.chunk(event))]
    assert ["prompt_token_ids" in plain(chunk) for chunk in chunks] == [True, False, False]
    whole = plain(chat.fold([*chunks, chat.usage()]))
    assert whole["prompt_token_ids"] == [1, 3]
    assert whole["prompt_logprobs"] == [
        None,
        {
            "3": {"logprob": -1.0, "rank": 2, "decoded_token": "b"},
            "9": {"logprob": -0.5, "rank": 1, "decoded_token": "c"},
        },
    ]
    assert [choice["stop_reason"] for choice in whole["choices"]] == ["!", None]


@pytest.mark.parametrize("wanted", [True, False])
def test_the_end_of_sequence_stands_in_completions_only(wanted: bool) -> None:
    event = Event(job=0, text="a", logprobs=(token(b"a", -1.0),), end=token(b"</s>", -2.0), finish="stop")
    completion, chat = CompletionRenderer("m", 1, logprobs=wanted), ChatRenderer("m", 1, logprobs=wanted)
    choices = [plain(renderer.chunk(event))["choices"][0] for renderer in (completion, chat)]
    if wanted:
        assert choices[0]["logprobs"]["tokens"] == ["a", "</s>"]
        assert [one["token"] for one in choices[1]["logprobs"]["content"]] == ["a"]
    else:
        assert [choice["logprobs"] for choice in choices] == [None, None]


def test_empty_news_are_no_chunk() -> None:
    event = Event(job=0, ids=(1,), tokens=1, logprobs=(token(b"\xc3", -1.0),))
    assert CompletionRenderer("m", 1).chunk(event) is None
    assert CompletionRenderer("m", 1, token_ids=True).chunk(event)
    chat = ChatRenderer("m", 1)
    assert [chat.chunk(event) is None for _ in range(2)] == [False, True]  # the first names the role
