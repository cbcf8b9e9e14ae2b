"""The table `engine_options.continuous_batching`, and how large the cache of keys and values is that it leads to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers.generation.continuous_batching.utils import (
    find_head_dim,
    find_num_key_value_heads,
    get_device_and_memory_breakdown,
)

from alcove.config.settings import ModelSettings
from alcove.errors import ModelLoadError

KEY = "continuous_batching"
PAGE_TOKENS = 16
"""Tokens of a page of the cache; prompts share whole pages."""
BATCH_TOKENS = 256
"""New tokens of a step: a longer prompt is read in parts, so that running answers go on meanwhile."""
TOKENS_A_RUN = 1024
"""For how long a prompt with its answer the cache has room, in all runs at the same time, where memory allows it."""
MEMORY_SHARE = 0.05
"""The most of a machine's memory, or of what is free on a CUDA device, that the cache takes by itself."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the table says; None leaves it to the machine."""

    cache_tokens: int | None = None
    """Tokens, of prompts and answers together, whose keys and values are kept."""
    max_batch_tokens: int = BATCH_TOKENS
    """New tokens of a step, of prompts and answers together."""


def read_knobs(settings: ModelSettings) -> Knobs | None:
    """What the settings say; None where continuous batching is not asked for. Raises `ModelLoadError`."""
    label = f"model '{settings.name}': engine_options.{KEY}"
    asked = settings.engine_options.get(KEY, False)
    if isinstance(asked, bool):
        return Knobs() if asked else None
    if not isinstance(asked, Mapping):
        raise ModelLoadError(f"{label}: must be true, false or a table, not {asked!r}")
    names = ("cache_tokens", "max_batch_tokens")
    for name, value in asked.items():
        if name not in names:
            raise ModelLoadError(f"{label}.{name}: unknown; alcove takes {', '.join(names)}")
        if isinstance(value, bool) or not isinstance(value, int) or value < PAGE_TOKENS:
            raise ModelLoadError(f"{label}.{name}: must be a whole number from {PAGE_TOKENS} on, not {value!r}")
    return Knobs(**asked)


def pages(model: Any, knobs: Knobs, *, runs: int, positions: int | None) -> int:
    """How many pages the cache has. `runs` may go on at the same time, each up to `positions` tokens long."""
    wanted = knobs.cache_tokens
    if wanted is None:
        config = model.config.get_text_config()
        width = find_num_key_value_heads(config) * find_head_dim(config)
        a_token = 2 * config.num_hidden_layers * width * model.dtype.itemsize
        _, total, reserved, allocated = get_device_and_memory_breakdown()
        memory = total - max(reserved, allocated) if model.device.type == "cuda" else total
        wanted = min(runs * min(positions or TOKENS_A_RUN, TOKENS_A_RUN), int(memory * MEMORY_SHARE) // a_token)
    return max(2, -(-wanted // PAGE_TOKENS))
