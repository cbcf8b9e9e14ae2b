"""What a family of the zoo hands over when its tokenizer is written: what weights are to be made."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from transformers import PretrainedConfig


class Made(NamedTuple):
    """What the weights are made for."""

    config: PretrainedConfig
    generation: dict[str, Any]
    """Content of generation_config.json."""
    rare: Iterable[int] = ()
    """Ids that shall hardly ever be chosen: languages, rows without a token."""
