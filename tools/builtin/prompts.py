"""The forms in which a question reaches a model.

In: a question, perhaps a system text and earlier exchanges. Out: the prompt text of `alcove-seq2seq`
(bare, after a system text, or as a transcript) and the messages of `alcove-chat`.
"""

from collections.abc import Sequence

ASSISTANT_PREFIX = "Assistant:"
"""What a client of the transcript form may force the decoder to start with."""

Exchange = tuple[str, str]
"""A question and its answer."""
Message = dict[str, str]
"""`role` and `content`, as in a chat request."""


def after_system(system: str, question: str) -> str:
    """Put a system text and a blank line before a question."""
    return f"{system}\n\n{question}"


def transcript(question: str, system: str = "", history: Sequence[Exchange] = ()) -> str:
    """Write a conversation with labels, ending with the assistant's.

    An exchange without a question gives only its answer, as clients do that send the last answer alone.
    """
    parts = [system] if system else []
    for earlier, answer in history:
        if earlier:
            parts.append(f"Question: {earlier}")
        parts.append(f"{ASSISTANT_PREFIX} {answer}")
    return "\n\n".join([*parts, f"Question: {question}", ASSISTANT_PREFIX])


def messages(question: str, system: str = "", history: Sequence[Exchange] = ()) -> list[Message]:
    """Write a conversation as chat messages, ending with the user's."""
    chat = [{"role": "system", "content": system}] if system else []
    for earlier, answer in history:
        chat += [{"role": "user", "content": earlier}, {"role": "assistant", "content": answer}]
    return [*chat, {"role": "user", "content": question}]
