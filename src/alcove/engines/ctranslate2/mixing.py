"""Whether prompts of different lengths may share a batch of a decoder-only model: from its settings and precision.

What longer prompts have beyond the shortest goes through the library's steps, where it would otherwise be read at once.
In float32 that changes nothing that could be seen. With quantized weights the last bits of an activation decide how it
is rounded, and an answer would depend on its company where two tokens are about equally probable: 7 of 12 greedy
answers of random weights did, none of 322 of the built-in chat model. So it is a person's choice, for about three times
the tokens a second at 32 clients.
"""

from alcove.config.settings import ModelSettings
from alcove.errors import ModelLoadError

KEY = "mixed_lengths"
ELSEWHERE = frozenset({"tokenizer", "decode", "model"})
"""Keys of `engine_options` that others read, or that only transformers has a use for."""


def mixes_lengths(settings: ModelSettings, compute_type: str) -> bool:
    """What the settings say, else whether the library computes without rounding to integers.

    Raises `ModelLoadError` for an option of the engine that there is not.
    """
    label = f"model '{settings.name}': engine_options"
    for key in settings.engine_options:
        if key not in ELSEWHERE | {KEY}:
            raise ModelLoadError(f"{label}.{key}: the engine ctranslate2 takes {KEY}, tokenizer and decode")
    wanted = settings.engine_options.get(KEY)
    if wanted is not None and not isinstance(wanted, bool):
        raise ModelLoadError(f"{label}.{KEY}: must be true or false, not {wanted!r}")
    return not compute_type.startswith("int") if wanted is None else wanted
