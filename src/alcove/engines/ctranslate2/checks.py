"""Refuses what CTranslate2 could not do with a run, by the field's name on the wire. Called by `engine.py`."""

import math

from alcove.engines.ctranslate2.bans import bad_words, suppressed_tokens
from alcove.engines.ctranslate2.honoured import IMPOSSIBLE
from alcove.engines.ctranslate2.tables import Table
from alcove.errors import InvalidRequest
from alcove.runs import DEFAULT_OPTIONS, Run
from alcove.store.folder import Kind

_ALONE = (
    # No callback sees a beam search (CTranslate2's `validate_decoding_options`), so nothing can be chosen or read.
    *("logit_bias", "allowed_token_ids", "presence_penalty", "frequency_penalty", "stop_token_ids"),
    # Here transformers bans after it has taken log-probabilities, and CTranslate2 before.
    "ignore_eos",
    # Likewise: transformers penalises log-probabilities in a beam search, CTranslate2 the logits.
    "repetition_penalty",
)
_RANGES = {
    "temperature": (0.0, math.inf),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "repetition_penalty": (0.0, math.inf),
    "presence_penalty": (-math.inf, math.inf),
    "frequency_penalty": (-math.inf, math.inf),
}
_ABOVE = ("typical_p", "repetition_penalty")
"""Whose lower bound is not itself allowed."""
LEAST_DIVISOR = 1e-4
"""Divided by less than this, logits may leave the range of float32."""
_DIVISORS = ("temperature", "repetition_penalty")


def check_options(run: Run, kind: Kind, target: Table) -> None:
    """Raises `InvalidRequest` for values out of range, ids that the model lacks, and what does not go together."""
    options = run.options
    beams = options.num_beams or 1
    for name, (low, high) in _RANGES.items():
        value = DEFAULT_OPTIONS.given()[name] if getattr(options, name) is None else getattr(options, name)
        fits = low <= value <= high and math.isfinite(value) and not (name in _ABOVE and value == low)
        if not fits or (name in _DIVISORS and 0 < value < LEAST_DIVISOR):
            raise InvalidRequest(f"'{name}' is {value}, which is out of its range.", param=name, code="invalid_value")
    if not all(map(math.isfinite, (options.logit_bias or {}).values())):
        raise InvalidRequest("'logit_bias' must be of finite numbers.", param="logit_bias", code="invalid_value")
    _check_ids(run, target)
    bad_words(options)
    suppressed_tokens(options)
    if run.outputs > beams:
        raise InvalidRequest(f"'n' is {run.outputs}, but the search has {beams} beams.", param="n")
    if beams > 1:
        _check_beams(run, kind)


def _check_ids(run: Run, target: Table) -> None:
    for name in ("logit_bias", "allowed_token_ids", "stop_token_ids"):
        for token in getattr(run.options, name) or ():
            if target.made_string(token) is None:
                raise InvalidRequest(f"'{name}' has the token id {token}, which this model does not have.", param=name)
    if run.options.allowed_token_ids == ():
        raise InvalidRequest("'allowed_token_ids' is empty: name at least one.", param="allowed_token_ids")


def _check_beams(run: Run, kind: Kind) -> None:
    options = run.options
    if options.temperature:
        raise InvalidRequest(
            "'temperature' above 0 does not go with a beam search on this engine: set 'num_beams' to 1, or the "
            "temperature to 0.",
            param="temperature",
        )
    if run.prefix:
        # CTranslate2 counts the prefix to the length that divides the score
        raise InvalidRequest("'num_beams' above 1 does not go with a prompt that begins the answer.", param="num_beams")
    names = [name for name in _ALONE if (given := getattr(options, name)) and given != getattr(DEFAULT_OPTIONS, name)]
    if kind == "causal":
        # the library's penalties see no prompt
        names += ["no_repeat_ngram_size"] if options.no_repeat_ngram_size else []
        names += ["bad_words_ids"] if any(len(word) > 1 for word in bad_words(options)) else []
    names += ["logprobs"] if run.logprobs is not None else []
    for name in names:
        raise InvalidRequest(
            f"'{name}' does not go with a beam search on this engine: set 'num_beams' to 1.", param=name
        )
    if options.early_stopping in IMPOSSIBLE["early_stopping"]:
        raise InvalidRequest(
            "'early_stopping' can only be true on this engine, ctranslate2: a beam search ends as soon as 'num_beams' "
            "outputs are finished. Leave it out, or have the model run by the engine transformers.",
            param="early_stopping",
        )
