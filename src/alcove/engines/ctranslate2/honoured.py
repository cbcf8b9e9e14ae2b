"""What is honoured for each kind of model, and how: the data of `Capabilities`. Used by `engine.py`."""

from collections.abc import Mapping, Sequence
from typing import Any

from alcove.store.folder import Kind

_CHOSEN = "chosen by alcove, the run resumed where the library's own token is another; not with beams"
_BANS = "; in a beam search the banned probability is shared out among the rest"
_SEQ2SEQ = {
    "temperature": "0 is greedy; not with beams",
    "top_p": "when sampling",
    "top_k": "when sampling",
    "min_p": f"when sampling: {_CHOSEN}",
    "typical_p": f"when sampling: {_CHOSEN}",
    "seed": f"when sampling: {_CHOSEN}",
    "num_beams": "the search ends as soon as so many outputs are finished",
    "length_penalty": "with beams",
    "early_stopping": 'true, as where nothing is said; false and "never" are refused with beams',
    "no_repeat_ngram_size": f"as in transformers{_BANS}",
    "repetition_penalty": "as in transformers; not with beams",
    "presence_penalty": _CHOSEN,
    "frequency_penalty": _CHOSEN,
    "logit_bias": _CHOSEN,
    "allowed_token_ids": "all others are banned; not with beams",
    "bad_words_ids": f"as in transformers{_BANS}",
    "suppress_tokens": f"as in transformers{_BANS}",
    "min_new_tokens": f"as in transformers{_BANS}",
    "ignore_eos": "the end of sequence is banned; not with beams",
    "stop_token_ids": "not with beams",
    "renormalize_logits": "always done",
    "logprobs": "of the raw logits; not with beams",
    "prompt_logprobs": "of the decoder's prefix, of the raw logits",
}
_CAUSAL = _SEQ2SEQ | {
    "no_repeat_ngram_size": f"over prompt and output; {_CHOSEN}",
    "repetition_penalty": f"over prompt and output; {_CHOSEN}",
    "bad_words_ids": f"words of one token{_BANS}; longer ones: {_CHOSEN}",
    "prompt_logprobs": "of the prompt, of the raw logits",
}

IMPOSSIBLE: Mapping[str, Sequence[Any]] = {"early_stopping": (False, "never")}
"""Values that are not honoured: a beam search ends as soon as `num_beams` outputs are finished."""


def honoured(kind: Kind) -> Mapping[str, str]:
    """Names of options, and how each is honoured for models of this kind."""
    return _CAUSAL if kind == "causal" else _SEQ2SEQ
