"""How a run's options are said to CTranslate2, whose options hold for a whole batch.

`Search` is made for each run by `engine.py`: runs with equal ones may share a batch. What the library cannot be told,
or does otherwise than transformers, is left to `choice.py`, which needs its logits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alcove.engines.ctranslate2.bans import bad_words, suppressed_tokens
from alcove.engines.ctranslate2.sampling import Sampling
from alcove.engines.ctranslate2.special import SpecialTokens
from alcove.engines.ctranslate2.tables import Table
from alcove.runs import Options, Run
from alcove.store.folder import Kind

TOP_P_CLASSES_ON_CUDA = 8192
"""On CUDA top-p takes no more candidates (CTranslate2's `src/ops/topp_mask_gpu.cu`)."""
LEAST_TOP_P = 1e-9
"""Less than the most probable token has in any vocabulary, so that none but it is left. The library has float32, where
still smaller numbers are zero, and refuses that."""


@dataclass(frozen=True, slots=True)
class Search:
    """Options of one call of the library: equal ones may share a call."""

    arguments: tuple[tuple[str, Any], ...]
    """Keyword arguments of `translate_batch` and `generate_batch`, but those that the batch's rows decide."""
    proposal: Sampling | None
    """How the library draws its tokens; None: it takes the most probable ones."""
    min_length: int
    """Steps without an end of sequence."""
    beams: int
    """Width of the beam search; 1 is none."""
    logits: bool
    """Whether the logits of every step are wanted."""
    chooses: bool
    """Whether the library's tokens are only proposals, which alcove takes or replaces."""
    shape: tuple[int, ...] = ()
    """What else must be equal in one call: lengths."""
    shared: tuple[int, ...] = ()
    """The prompts' beginning, whose state the library keeps."""


def make_search(run: Run, kind: Kind, target: Table, special: SpecialTokens, *, cuda: bool, mixed: bool) -> Search:
    """The search that `run`, which has been checked, asks for. `mixed`: whether prompts of a decoder-only model that
    differ in length may share a call."""
    options = run.options
    beams = options.num_beams or 1
    read = run.logprobs is not None or (run.prompt_logprobs is not None and bool(run.prefix))
    chooses = beams == 1 and _chooses(run, kind, special, read=read)
    logits = beams == 1 and (chooses or read)
    # The library's logits are those after its own bans and penalties: with the latter nothing else can be chosen, with
    # the former the model's own log-probabilities are lost.
    min_new = 0 if chooses else options.min_new_tokens or 0
    suppressed = () if read and chooses else _suppressed(options, target, special, single=chooses)
    proposal = None if chooses and options.seed is not None else _proposal(options, target.size, cuda=cuda)
    arguments = {
        "beam_size": beams,
        "num_hypotheses": beams,
        "patience": 1.0,
        "length_penalty": _or(options.length_penalty, 1.0) if beams > 1 else 1.0,
        "repetition_penalty": 1.0 if chooses else _or(options.repetition_penalty, 1.0),
        "no_repeat_ngram_size": 0 if chooses else options.no_repeat_ngram_size or 0,
        "disable_unk": False,
        "suppress_sequences": suppressed or None,
        "end_token": special.ends,
        # with it a beam output that has ended can be told from one that was cut off
        "return_end_token": beams > 1,
        "return_scores": beams > 1,
        "return_logits_vocab": logits,
        "max_batch_size": 0,
        **_said(proposal),
    }
    # a forced first token counts as new, unless a prefix follows it, as in transformers
    lead = run.forced_bos is not None and not special.start_is_prefix
    given = len(run.prefix) + (lead and bool(run.prefix))
    shape: tuple[int, ...] = ()
    if kind == "causal":
        length = len(run.tokens) - run.shared + len(run.made)
        # While longer prompts go through the steps, a callback is not told of them, and logits cannot be read by row;
        # beside a prompt of one token the library would give the others' rests back (`run_generation`).
        shape += (0 if mixed and not logits and beams == 1 and length > 1 else length,)
    if min_new:
        shape += (given,)
    if beams > 1:  # no callback, by which rows could end on their own (refused by validate_decoding_options)
        shape += (run.max_new_tokens, run.forced_eos is None, run.forced_bos is None)
    return Search(
        arguments=tuple(arguments.items()),
        proposal=proposal,
        min_length=given + min_new if min_new else 0,
        beams=beams,
        logits=logits,
        chooses=chooses,
        shape=shape,
        shared=run.tokens[: run.shared],
    )


def wanted_sampling(options: Options) -> Sampling | None:
    """How the run wants its tokens drawn; None: the most probable ones."""
    top_p = _or(options.top_p, 1.0)
    if not options.temperature or options.top_k == 1 or top_p < LEAST_TOP_P:
        return None
    return Sampling(
        temperature=options.temperature,
        top_k=options.top_k or 0,
        top_p=top_p,
        min_p=options.min_p or 0.0,
        typical_p=_or(options.typical_p, 1.0),
    )


def _chooses(run: Run, kind: Kind, special: SpecialTokens, *, read: bool) -> bool:
    """Whether the library alone would not make the tokens that the run asks for, or hide its logprobs."""
    options = run.options
    sampling = wanted_sampling(options)
    ngram = options.no_repeat_ngram_size or 0
    penalised = _or(options.repetition_penalty, 1.0) != 1.0
    words = bad_words(options)
    return bool(
        options.logit_bias
        or options.presence_penalty
        or options.frequency_penalty
        or (sampling and (options.seed is not None or sampling.min_p > 0 or sampling.typical_p < 1))
        or (options.min_new_tokens and options.stop_token_ids)
        # its penalties see what goes through its decoding loop, which is not the prompt
        or (kind == "causal" and (penalised or ngram or any(len(word) > 1 for word in words)))
        # nor the start token; that one is hardly ever made, unless it is the end as well or is rewarded
        or (penalised and (special.start_is_end or _or(options.repetition_penalty, 1.0) < 1))
        or (read and (penalised or ngram or words or suppressed_tokens(options) or options.min_new_tokens))
        or (read and (options.ignore_eos or options.allowed_token_ids is not None))
    )


def _proposal(options: Options, vocabulary: int, *, cuda: bool) -> Sampling | None:
    """The part of the wanted sampling that the library has."""
    wanted = wanted_sampling(options)
    if wanted is None:
        return None
    top_k = 0 if wanted.top_k >= vocabulary else wanted.top_k
    if cuda and wanted.top_p < 1:
        top_k = min(top_k or TOP_P_CLASSES_ON_CUDA, TOP_P_CLASSES_ON_CUDA)
    return Sampling(temperature=wanted.temperature, top_k=top_k, top_p=wanted.top_p)


def _said(proposal: Sampling | None) -> Mapping[str, float]:
    """`sampling_topk` must always be said: its default 1 would make any temperature greedy."""
    if proposal is None:
        return {"sampling_topk": 1, "sampling_topp": 1.0, "sampling_temperature": 1.0}
    return {
        "sampling_topk": proposal.top_k,
        "sampling_topp": proposal.top_p,
        "sampling_temperature": proposal.temperature,
    }


def _suppressed(
    options: Options, target: Table, special: SpecialTokens, *, single: bool
) -> tuple[tuple[str, ...], ...]:
    """Token strings that must not come, `single` ones only or sequences too. Those that the model does not have cannot
    come anyway, and the library would refuse them (OPUS-MT forbids `<pad>`, which its conversion lacks)."""
    end_ids = [target.tokenizer_id(end) for end in special.ends]
    words = [[token] for token in suppressed_tokens(options)]
    words += [word for word in bad_words(options) if not (len(word) == 1 and word[0] in end_ids)]  # as transformers
    if options.no_repeat_ngram_size == 1 and special.start is not None:
        words += [[special.start]]  # the library does not see it
    if options.ignore_eos:
        words += [[end] for end in end_ids]
    if options.allowed_token_ids is not None:
        allowed = {*options.allowed_token_ids, *end_ids}
        words += [[token] for token in target.tokenizer_ids() if token not in allowed]
    strings = [[target.made_string(token) for token in word] for word in words if not single or len(word) == 1]
    return tuple(tuple(t for t in word if t is not None) for word in strings if None not in word)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
