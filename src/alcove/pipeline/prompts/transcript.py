"""A chat as plain text, for models without a chat template.

In go messages, out comes a prompt. `transcript` is the form of ctranslate2-fastapi, on which its models were tuned;
`plain` is alcove's default. Called by `prompter.py`.
"""

from collections.abc import Sequence

from alcove.errors import InvalidRequest
from alcove.jobs import Message

ANSWER = "Assistant:"
"""With what a transcript ends, and the answer begins."""
_LABELS = {"system": "System:", "developer": "System:", "user": "Question:", "assistant": ANSWER}


def plain(messages: Sequence[Message], *, open_end: bool = True) -> str:
    """A lone question is sent as it is, behind the system texts if there are any; a chat with history becomes a
    transcript, with the answer's label behind it where the end is open. Raises `InvalidRequest`."""
    check(messages)
    system = [message.content for message in messages if is_system(message)]
    turns = [message for message in messages if not is_system(message)]
    if len(turns) == 1:
        return "\n\n".join([*system, turns[0].content])
    return transcript(messages, open_end=open_end)


def history(messages: Sequence[Message]) -> str:
    """A transcript, however short. Raises `InvalidRequest`."""
    check(messages)
    return transcript(messages)


def transcript(messages: Sequence[Message], *, open_end: bool = True) -> str:
    """Labelled turns with a blank line between, ready for an answer; a system text at the front has no label."""
    turns = [f"{_LABELS[message.role]} {message.content}" for message in messages]
    end = [ANSWER] if open_end else []
    return "\n\n".join([*turns, *end]).removeprefix("System:").lstrip()


def is_system(message: Message) -> bool:
    """Whether the message tells how to answer, rather than being part of the talk."""
    return message.role in ("system", "developer")


def check(messages: Sequence[Message]) -> None:
    """Raise `InvalidRequest` for a chat that has no question, or a turn that a transcript has no label for."""
    for at, message in enumerate(messages):
        if message.role not in _LABELS:
            raise InvalidRequest(
                f"Without a chat template this model takes the roles system, user and assistant, not {message.role!r}.",
                param=f"messages[{at}].role",
            )
    if not any(message.role == "user" for message in messages):
        raise InvalidRequest("A chat needs a message of the role user.", param="messages")
