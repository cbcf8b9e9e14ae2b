"""The prompts and requests of all cases, the same for the server and for the engine that is called directly."""

import random
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import Any

from tests.bench.models import SOURCE_TOKENS, prompt

NEW_TOKENS = 64
Body = dict[str, Any]


def sources(count: int) -> list[str]:
    """Texts of 70 tokens for an encoder-decoder, its end token included."""
    return [prompt(number) for number in range(count)]


def prompts(count: int) -> list[str]:
    """Texts of 20 to 200 tokens for a decoder-only model."""
    draw = random.Random(0)
    return [prompt(number, draw.randint(20, 200)) for number in range(count)]


def texts(kind: str, count: int) -> list[str]:
    """Those for a kind of model, `seq2seq` or `causal`."""
    return sources(count) if kind == "seq2seq" else prompts(count)


def token_lists(kind: str, count: int) -> list[list[str]]:
    """The same as the model's own tokens."""
    end = ["</s>"] if kind == "seq2seq" else []
    return [[*text.split(), *end] for text in texts(kind, count)]


def lengths(count: int) -> list[int]:
    """New tokens from 8 to 128, evenly spread, in random order."""
    draw = random.Random(1)
    return [draw.randint(8, 128) for _ in range(count)]


def body(text: str, max_tokens: int = NEW_TOKENS, *, streamed: bool = False) -> Body:
    """One request for `/v1/completions`, without a model's name."""
    asked: Body = {"prompt": text, "max_tokens": max_tokens, "temperature": 0}
    return asked | {"stream": True, "stream_options": {"include_usage": True}} if streamed else asked


def in_turns(items: Iterable[str], count: int) -> list[str]:
    """So many of these, over and over."""
    return list(islice(cycle(items), count))


def chunks(tokens: Sequence[list[str]], size: int) -> list[list[list[str]]]:
    """Sorted by length, the longest first, in parts of `size`; 0 puts equal lengths together."""
    ordered = sorted(tokens, key=len, reverse=True)
    if size:
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return [[one for one in ordered if len(one) == length] for length in sorted({len(one) for one in ordered})]


assert len(token_lists("seq2seq", 1)[0]) == SOURCE_TOKENS
