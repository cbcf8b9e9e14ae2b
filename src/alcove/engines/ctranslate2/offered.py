"""Which generation options are honoured, and how: data for requests and for the documentation. Read by `engine.py`."""

from collections.abc import Mapping

from alcove.store.folder import Kind

_BANS = "; in a beam search the banned probability is shared out among the rest"
SEQ2SEQ_OPTIONS: Mapping[str, str] = {
    "temperature": "0 is greedy; not together with beams",
    "top_p": "when sampling",
    "top_k": "when sampling",
    "num_beams": "the search ends as soon as so many outputs are finished",
    "length_penalty": "with beams",
    "early_stopping": "true; false ends a beam search as early, CTranslate2 has no other rule",
    "no_repeat_ngram_size": f"as in transformers{_BANS}",
    "repetition_penalty": "as in transformers; not together with beams",
    "min_new_tokens": f"as in transformers{_BANS}",
    "suppress_tokens": f"as in transformers{_BANS}",
    "bad_words_ids": f"as in transformers{_BANS}",
    "renormalize_logits": "always done",
}
"""Options that are honoured for encoder-decoder models, and how."""
CAUSAL_OPTIONS: Mapping[str, str] = {
    **SEQ2SEQ_OPTIONS,
    "no_repeat_ngram_size": "over prompt and output; not together with beams",
    "repetition_penalty": "over prompt and output; not together with beams",
    "bad_words_ids": "as in transformers; together with beams words of one token only",
}
"""The same for decoder-only models."""


def options_offered(kind: Kind, *, start_is_end: bool) -> Mapping[str, str]:
    """The options of a model of this kind, by name. `start_is_end`: its decoder starts from a token that also ends an
    output (BART, M2M100)."""
    if kind == "causal":
        return CAUSAL_OPTIONS
    if start_is_end:
        # transformers penalises the decoder's start token, too, and with it the end; CTranslate2 does not see it
        return {name: how for name, how in SEQ2SEQ_OPTIONS.items() if name != "repetition_penalty"}
    return SEQ2SEQ_OPTIONS
