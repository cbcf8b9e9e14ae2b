"""How a run's options are said to CTranslate2, whose options hold for a whole batch.

`Search` is made for each run by `engine.py`: runs with equal ones may share a batch. What cannot be said is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alcove.engines.ctranslate2.tables import Table
from alcove.errors import InvalidRequest
from alcove.runs import Run
from alcove.store.folder import Kind

TOP_P_CLASSES_ON_CUDA = 8192
"""On CUDA top-p takes no more candidates (CTranslate2's `src/ops/topp_mask_gpu.cu`)."""

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
CAUSAL_OPTIONS: Mapping[str, str] = SEQ2SEQ_OPTIONS | {
    "no_repeat_ngram_size": "over prompt and output, when the prompt begins with the start token; not with beams",
    "repetition_penalty": "over prompt and output, when the prompt's first token is the start token or occurs again; "
    "not with beams",
    "bad_words_ids": f"words of one token{_BANS}",
}
"""The same for decoder-only models."""


@dataclass(frozen=True, slots=True)
class Search:
    """Options of one call of the library: equal ones may share a call."""

    arguments: tuple[tuple[str, Any], ...]
    """Keyword arguments of `translate_batch` and `generate_batch`, but those that the batch's rows decide."""
    min_length: int
    """Steps without an end of sequence."""
    beams: int
    """Width of the beam search; 1 is none."""
    loops_prompt: bool
    """Decoder-only: the prompt goes through the decoding loop token by token, which alone lets penalties see it
    (they are over the loop's tokens, `alive_seq` in CTranslate2's `src/decoding.cc`)."""
    shape: tuple[int, ...] = ()
    """What else must be equal in one call: lengths."""


def make_search(run: Run, kind: Kind, target: Table, ends: Sequence[int], start: int | None, *, cuda: bool) -> Search:
    """The search that `run` asks for.

    `ends` are the library's ids that end an output; `start` is the tokenizer's id of the start token, where known.
    Raises `InvalidRequest` for options that do not go together.
    """
    options = run.options
    beams = options.num_beams or 1
    min_new = options.min_new_tokens or 0
    penalty = options.repetition_penalty or 1.0
    ngram = options.no_repeat_ngram_size or 0
    loops = kind == "causal" and (penalty != 1.0 or ngram > 0)
    _check_together(run, kind, beams)
    if loops:
        _check_first_token(run, start)
    arguments = {
        "beam_size": beams,
        "num_hypotheses": beams,
        "patience": 1.0,
        "length_penalty": _or(options.length_penalty, 1.0) if beams > 1 else 1.0,
        "repetition_penalty": penalty,
        "no_repeat_ngram_size": ngram,
        "disable_unk": False,
        "suppress_sequences": _suppressed(run, kind, target, ends) or None,
        "end_token": tuple(ends),
        # with it a beam output that has ended can be told from one that was cut off
        "return_end_token": beams > 1,
        "return_scores": beams > 1,
        "max_batch_size": 0,
        **_sampling(run, target.size, cuda=cuda),
    }
    prefix = len(run.tokens) - 1 if loops else len(run.prefix)
    shape = (len(run.tokens),) if kind == "causal" else ()
    if min_new:
        shape += (prefix,)
    if beams > 1:  # no callback, by which rows could end on their own (refused by validate_decoding_options)
        shape += (run.max_new_tokens, run.forced_eos is None, run.forced_bos is None)
    return Search(
        arguments=tuple(arguments.items()),
        min_length=prefix + min_new if min_new else 0,
        beams=beams,
        loops_prompt=loops,
        shape=shape,
    )


def _sampling(run: Run, vocabulary: int, *, cuda: bool) -> dict[str, float]:
    """`sampling_topk` must always be said: its default 1 would make any temperature greedy."""
    options = run.options
    top_p = _or(options.top_p, 1.0)
    if not options.temperature or options.top_k == 1 or top_p <= 0:
        return {"sampling_topk": 1, "sampling_topp": 1.0, "sampling_temperature": 1.0}
    top_k = options.top_k or 0
    if top_k >= vocabulary:
        top_k = 0
    if cuda and top_p < 1:
        top_k = min(top_k or TOP_P_CLASSES_ON_CUDA, TOP_P_CLASSES_ON_CUDA)
    return {"sampling_topk": top_k, "sampling_topp": min(top_p, 1.0), "sampling_temperature": options.temperature}


def _check_together(run: Run, kind: Kind, beams: int) -> None:
    options = run.options
    if run.outputs > beams:
        raise InvalidRequest(f"'n' is {run.outputs}, but the search has {beams} beams.", param="n")
    if beams == 1:
        return
    if options.temperature:
        raise InvalidRequest(
            "'temperature' above 0 does not go with a beam search on this engine: set 'num_beams' to 1, or the "
            "temperature to 0.",
            param="temperature",
        )
    if _or(options.repetition_penalty, 1.0) != 1.0:
        # transformers penalises log-probabilities in a beam search, CTranslate2 the logits
        raise InvalidRequest(
            "'repetition_penalty' does not go with a beam search on this engine: set 'num_beams' to 1.",
            param="repetition_penalty",
        )
    if run.prefix:
        # CTranslate2 counts the prefix to the length that divides the score
        raise InvalidRequest("'num_beams' above 1 does not go with a prompt that begins the answer.", param="num_beams")
    if kind == "causal" and options.no_repeat_ngram_size:
        raise InvalidRequest(
            "'no_repeat_ngram_size' does not go with a beam search on this engine: set 'num_beams' to 1.",
            param="no_repeat_ngram_size",
        )


def _check_first_token(run: Run, start: int | None) -> None:
    """The decoding loop begins after the prompt's first token, which penalties therefore never see."""
    first, *rest = run.tokens
    if first == start:
        return
    if run.options.no_repeat_ngram_size:
        name = "no_repeat_ngram_size"
    elif first in rest:
        return
    else:
        name = "repetition_penalty"
    raise InvalidRequest(
        f"'{name}' is not supported on this engine for a prompt that does not begin with the model's start token.",
        param=name,
    )


def _suppressed(run: Run, kind: Kind, target: Table, ends: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    """Token strings that must not come. Those that the model does not have cannot come anyway, and the library
    would refuse them (OPUS-MT forbids `<pad>`, which its conversion lacks)."""
    words = [[token] for token in _ids(run, "suppress_tokens")]
    for word in _lists(run, "bad_words_ids"):
        if kind == "causal" and len(word) > 1:
            # CTranslate2 would not see the part of it that stands in the prompt
            raise InvalidRequest(
                "'bad_words_ids' with words of several tokens is not supported on this engine for this model.",
                param="bad_words_ids",
            )
        if len(word) != 1 or target.library_id(word[0]) not in ends:  # so does transformers
            words.append(word)
    strings = [[target.string(token) for token in word] for word in words]
    return tuple(tuple(t for t in word if t is not None) for word in strings if word and None not in word)


def _lists(run: Run, name: str) -> list[list[int]]:
    value = run.options.extra.get(name) or []
    if not isinstance(value, list | tuple) or not all(_are_ids(word) for word in value):
        raise InvalidRequest(f"'{name}' must be a list of lists of token ids.", param=name)
    return [list(word) for word in value]


def _ids(run: Run, name: str) -> list[int]:
    value = run.options.extra.get(name) or []
    if not _are_ids(value):
        raise InvalidRequest(f"'{name}' must be a list of token ids.", param=name)
    return list(value)


def _are_ids(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(i, int) and not isinstance(i, bool) for i in value)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
