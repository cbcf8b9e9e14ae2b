"""A text that cannot fit is refused for its characters alone, before a tokenizer has seen it."""

from pathlib import Path
from typing import Any

import pytest

from alcove.config.settings import ModelSettings
from alcove.errors import ContextLengthExceeded
from alcove.jobs import Job
from alcove.pipeline.encode import LONGEST_TOKEN, Encoder
from alcove.pipeline.limits import limits_of
from alcove.store.folder import GenerationDefaults

from .folders import folder, load, write_tokenizer

LIMIT = 10
LONG = "a" * (LIMIT * LONGEST_TOKEN)


def encoder(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Encoder, list[int]]:
    """An encoder of a model for ten tokens, and the lengths of the texts that its tokenizer is given."""
    write_tokenizer(path)
    tokenizer, settings = load(path), ModelSettings(name="m", source="m", max_prompt_tokens=LIMIT)
    given: list[int] = []
    for name in ("encode", "encode_target"):
        encode = getattr(tokenizer, name)

        def seen(text: str, encode: Any = encode, **options: Any) -> Any:
            given.append(len(text))
            return encode(text, **options)

        monkeypatch.setattr(tokenizer, name, seen)
    limits = limits_of(folder(path), settings, GenerationDefaults())
    made = Encoder(folder(path), settings, tokenizer, limits, forced_bos=None, end=None)
    given.clear()
    return made, given


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": LONG + "a"}, "prompt"),
        ({"prompt": "a", "continuation": LONG + "a"}, "prompt"),
        ({"prompt": "a", "decoder_prefix": LONG + "a"}, "decoder_prefix"),
    ],
)
def test_too_many_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], param: str
) -> None:
    made, given = encoder(tmp_path, monkeypatch)
    with pytest.raises(ContextLengthExceeded, match=f"{len(LONG) + 1} characters; .* {LIMIT} tokens") as caught:
        made.encode(Job(**{"param": "prompt", **fields}))  # type: ignore[arg-type]
    assert caught.value.param == param
    assert given == []


def test_what_might_fit_is_counted_in_tokens_and_what_is_cut_may_be_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, given = encoder(tmp_path, monkeypatch)
    assert len(made.encode(Job(prompt=LONG, param="prompt")).tokens) > LIMIT, "refused later, with both counts"
    assert len(made.encode(Job(prompt=LONG + "a", param="prompt", truncate_prompt=5)).tokens) == 5
    assert given
