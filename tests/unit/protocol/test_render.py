"""A whole answer is the fold of a stream's chunks."""

from hypothesis import given
from hypothesis import strategies as st

from alcove.jobs import Event
from alcove.protocol.render import ChatRenderer, CompletionRenderer

pieces = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.text(max_size=3), st.integers(0, 2)), max_size=20)


def events_of(pieces: list[tuple[int, int, str, int]]) -> list[Event]:
    events = [Event(job=job, output=output, text=text, tokens=tokens) for job, output, text, tokens in pieces]
    ends = [Event(job=job, output=output, finish="stop", prompt_tokens=3) for job in (0, 1) for output in (0, 1)]
    return events + ends


@given(pieces=pieces)
def test_fold(pieces: list[tuple[int, int, str, int]]) -> None:
    events = events_of(pieces)
    texts = ["".join(e.text for e in events if e.job * 2 + e.output == index) for index in range(4)]
    tokens = sum(event.tokens for event in events)

    completion = CompletionRenderer("m", 2)
    chunks = [chunk for event in events if (chunk := completion.chunk(event))]
    whole = completion.fold([*chunks, completion.usage()])
    assert [choice.text for choice in whole.choices] == texts
    assert [choice.finish_reason for choice in whole.choices] == ["stop"] * 4
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (12, tokens)

    chat = ChatRenderer("m", 2)
    pieces_of_chat = [chunk for event in events if (chunk := chat.chunk(event))]
    answer = chat.fold([*pieces_of_chat, chat.usage()])
    assert [choice.message.content for choice in answer.choices] == texts
    assert answer.usage == whole.usage
    roles = [choice.index for chunk in pieces_of_chat for choice in chunk.choices if choice.delta.role]
    assert sorted(roles) == [0, 1, 2, 3]
