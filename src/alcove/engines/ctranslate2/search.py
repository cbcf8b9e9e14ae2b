"""How a run's options are said to CTranslate2, whose options hold for a whole batch.

`Search` is made for each run by `engine.py`: runs with equal ones may share a batch. What cannot be said is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alcove.engines.ctranslate2.bans import banned_words, token_strings
from alcove.engines.ctranslate2.tables import Table
from alcove.errors import InvalidRequest
from alcove.runs import Run
from alcove.store.folder import Kind

TOP_P_CLASSES_ON_CUDA = 8192
"""On CUDA top-p takes no more candidates (CTranslate2's `src/ops/topp_mask_gpu.cu`)."""


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

    `ends` are the library's ids that end an output; `start` is the tokenizer's id of the token that the decoder of an
    encoder-decoder starts from, where known. Raises `InvalidRequest` for options that do not go together.
    """
    options = run.options
    beams = options.num_beams or 1
    min_new = options.min_new_tokens or 0
    penalty = options.repetition_penalty or 1.0
    ngram = options.no_repeat_ngram_size or 0
    words = banned_words(run, target, ends)
    longest = max(map(len, words), default=0)
    loops = kind == "causal" and (penalty != 1.0 or ngram > 0 or longest > 1)
    _check_together(run, beams, loops=loops)
    if loops:
        _check_first_token(run, ngram, longest)
    # The library does not see the first token, with which the loop begins, in its n-grams: ban that one by name.
    begun = run.tokens[:ngram] if kind == "causal" else () if start is None or ngram > 1 else (start,)
    words += [list(begun)] if ngram and begun else []
    arguments = {
        "beam_size": beams,
        "num_hypotheses": beams,
        "patience": 1.0,
        "length_penalty": _or(options.length_penalty, 1.0) if beams > 1 else 1.0,
        "repetition_penalty": penalty,
        "no_repeat_ngram_size": ngram,
        "disable_unk": False,
        "suppress_sequences": token_strings(words, target) or None,
        "end_token": tuple(ends),
        # with it a beam output that has ended can be told from one that was cut off
        "return_end_token": beams > 1,
        "return_scores": beams > 1,
        "max_batch_size": 0,
        **_sampling(run, target.size, cuda=cuda),
    }
    prefix = len(run.tokens) - 1 if loops else len(run.prefix)
    shape: tuple[int, ...] = (len(run.tokens),) if kind == "causal" else ()
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


def _check_together(run: Run, beams: int, *, loops: bool) -> None:
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
    if loops:
        # the loop's prompt would be counted likewise
        name = "no_repeat_ngram_size" if options.no_repeat_ngram_size else "bad_words_ids"
        raise InvalidRequest(
            f"'{name}' does not go with a beam search on this engine: set 'num_beams' to 1.", param=name
        )


def _check_first_token(run: Run, ngram: int, longest: int) -> None:
    """The loop begins behind the prompt's first token: sequences that begin with it can only be banned when they lie
    in the prompt, and it gets no penalty."""
    for name, length in (("no_repeat_ngram_size", ngram), ("bad_words_ids", longest)):
        if length > len(run.tokens):
            raise InvalidRequest(
                f"'{name}' spans {length} tokens here, which on this engine needs a prompt of as many.", param=name
            )
    if (run.options.repetition_penalty or 1.0) < 1.0 and run.tokens[0] not in run.tokens[1:]:
        # a penalty can be seen to afterwards (`contest.py`), a reward not: the library would never choose the token
        raise InvalidRequest(
            "'repetition_penalty' below 1 is not supported on this engine for this prompt, whose first token does not "
            "occur again.",
            param="repetition_penalty",
        )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
