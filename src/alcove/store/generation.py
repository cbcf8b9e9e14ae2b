"""The generation wishes of a model's files or of a `[[model]]`'s settings, in Hugging Face's names, as our types.

`store/recognise.py` reads a folder's with `read_generation`; the pipeline takes `options_from` and `generation_from`
for the settings' own.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alcove.errors import ConfigurationError
from alcove.runs import Options
from alcove.store.folder import GenerationDefaults, Kind
from alcove.store.jsonfile import read_object

FILE = "generation_config.json"

_NUMBERS = ("temperature", "top_p", "length_penalty", "repetition_penalty")
_COUNTS = ("top_k", "num_beams", "no_repeat_ngram_size", "min_new_tokens")
_SAMPLING = ("temperature", "top_p", "top_k", "typical_p", "min_p", "epsilon_cutoff", "eta_cutoff")
_EXTRA = (
    *("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias", "renormalize_logits"),
    *("encoder_no_repeat_ngram_size", "encoder_repetition_penalty", "exponential_decay_length_penalty"),
    *("num_beam_groups", "diversity_penalty", "guidance_scale", "penalty_alpha"),
    *("typical_p", "min_p", "epsilon_cutoff", "eta_cutoff"),
)
"""What else in a model's own file changes its text."""
_NEUTRAL: dict[str, Any] = {
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "guidance_scale": 1.0,
    "renormalize_logits": False,
    "min_length": 0,
    "num_return_sequences": 1,
}
"""Values that change nothing: files are full of them."""
LIMITS_AND_IDS = (
    *("max_new_tokens", "max_length", "eos_token_id", "decoder_start_token_id", "forced_bos_token_id"),
    *("forced_eos_token_id", "pad_token_id", "bos_token_id"),
)
_SAMPLED_TOP_K = 50
"""What transformers takes where a file says `do_sample` and no `top_k` (`_get_default_generation_params`)."""


def read_generation(folder: Path, config: Mapping[str, Any], kind: Kind) -> GenerationDefaults:
    """The wishes of the model in `folder`: its generation_config.json's, else those in an older `config` (its
    config.json). `task_specific_params` is not applied, as in transformers. Raises `ModelLoadError`."""
    path = folder / FILE
    if path.exists():
        return generation_from(own_wishes(read_object(path)), kind, source=path)
    return generation_from(own_wishes(config), kind, source=folder / "config.json")


def own_wishes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a model's configuration the keys that concern generation. Sampling options are left out unless it says
    `do_sample`, where transformers ignores them."""
    names = {*_NUMBERS, *_COUNTS, *_EXTRA, *LIMITS_AND_IDS, "early_stopping", "min_length", "do_sample"}
    if config.get("do_sample") is not True:
        names -= {*_SAMPLING}
    return {name: value for name, value in config.items() if name in names and value is not None}


def generation_from(wishes: Mapping[str, Any], kind: Kind, *, source: str | Path = "generation") -> GenerationDefaults:
    """Everything in `wishes`, the limits and ids included; `source` names their origin in errors.

    Raises `ConfigurationError` for a value of the wrong type.
    """
    take = _Take(wishes, source)
    return GenerationDefaults(
        options=options_from(wishes, kind, source=source),
        max_new_tokens=take.count("max_new_tokens"),
        max_length=take.count("max_length"),
        eos=take.ids("eos_token_id"),
        decoder_start=take.id("decoder_start_token_id"),
        forced_bos=take.id("forced_bos_token_id"),
        forced_eos=take.id("forced_eos_token_id"),
    )


def options_from(wishes: Mapping[str, Any], kind: Kind, *, source: str | Path = "generation") -> Options:
    """The options in `wishes`; those without a field of their own go to `Options.extra`, ids and limits nowhere.

    `do_sample: true` without a temperature is 1.0, and without `top_k` transformers' 50; `do_sample: false` leaves
    the sampling options out. Raises `ConfigurationError` for a value of the wrong type.
    """
    take = _Take(wishes, source)
    named: dict[str, Any] = {name: take.number(name) for name in _NUMBERS}
    named |= {name: take.count(name) for name in _COUNTS}
    extra = {name: value for name, value in wishes.items() if _is_extra(name, value, named)}

    early_stopping = wishes.get("early_stopping")
    if early_stopping not in (None, True, False, "never"):
        raise ConfigurationError(f'{source}: early_stopping must be true, false or "never", not {early_stopping!r}')
    named["early_stopping"] = early_stopping

    min_length = take.count("min_length") or 0
    if kind == "seq2seq" and named["min_new_tokens"] is None and min_length > 1:
        named["min_new_tokens"] = min_length - 1  # transformers counts the decoder's start token
    elif kind == "causal" and min_length > 0:
        extra["min_length"] = min_length  # it counts the prompt, too

    do_sample = wishes.get("do_sample")
    if do_sample is True:
        named["temperature"] = 1.0 if named["temperature"] is None else named["temperature"]
        named["top_k"] = _SAMPLED_TOP_K if named["top_k"] is None else named["top_k"]
    elif do_sample is False:
        named |= dict.fromkeys(("temperature", "top_p", "top_k"))
        extra = {name: value for name, value in extra.items() if name not in _SAMPLING}
    return Options(**named, extra=extra)


def _is_extra(name: str, value: Any, named: Iterable[str]) -> bool:
    ours = {*named, *LIMITS_AND_IDS, "early_stopping", "min_length", "do_sample"}
    return name not in ours and value is not None and (name not in _NEUTRAL or value != _NEUTRAL[name])


class _Take:
    """Values of a mapping by type; None where a key is absent or null."""

    def __init__(self, wishes: Mapping[str, Any], source: str | Path) -> None:
        self._wishes = wishes
        self._source = source

    def number(self, name: str) -> float | None:
        value = self._wishes.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self._wrong(name, "a number")
        return None if value is None else float(value)

    def count(self, name: str) -> int | None:
        value = self._wishes.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise self._wrong(name, "a whole number, 0 or more")
        return value

    def ids(self, name: str) -> tuple[int, ...]:
        value = self._wishes.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if any(isinstance(v, bool) or not isinstance(v, int) for v in values):
            raise self._wrong(name, "a token id or a list of them")
        return tuple(values)

    def id(self, name: str) -> int | None:
        return next(iter(self.ids(name)), None)

    def _wrong(self, name: str, wanted: str) -> ConfigurationError:
        return ConfigurationError(f"{self._source}: {name} must be {wanted}, not {self._wishes[name]!r}")
