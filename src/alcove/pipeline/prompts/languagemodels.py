"""The prompt profile `languagemodels`: what ctranslate2-fastapi asked of its models.

In go messages or a text, out comes `Prepared` with that server's prompt, options, suppressions and text rules. Called
by `prompter.py` for models whose settings name the profile.
"""

from collections.abc import Sequence

from alcove.jobs import Message
from alcove.pipeline.prompts.prepared import Prepared
from alcove.pipeline.prompts.transcript import ANSWER, check, is_system, transcript
from alcove.runs import Options

_COMPLETION = Options(temperature=0.0, repetition_penalty=1.3)
_CHAT = Options(temperature=0.3, top_k=40, repetition_penalty=1.3)


def completion(text: str) -> Prepared:
    """A prompt of the completions endpoint: greedy, repetitions penalised."""
    return Prepared(text=text, options=_COMPLETION, text_rules="completion")


def chat(messages: Sequence[Message]) -> Prepared:
    """A chat: of its turns only the last answer and the last question are kept, for the models get lost in more; the
    answer may neither begin like an earlier message nor repeat a question. Raises `InvalidRequest`."""
    check(messages)
    turns = [message for message in messages if not is_system(message)]
    questions = [message.content.strip() for message in turns if message.role == "user"]
    last = [
        next((message for message in reversed(turns) if message.role == role), None) for role in ("assistant", "user")
    ]
    kept = [*filter(is_system, messages), *filter(None, last)]
    openings = [f"{ANSWER} {message.content.split()[0]}" for message in turns if message.content.split()]
    return Prepared(
        text=transcript(kept),
        prefix=ANSWER,
        options=_CHAT,
        suppress=tuple(dict.fromkeys([*openings, *filter(None, questions)])),
        text_rules="chat",
    )
