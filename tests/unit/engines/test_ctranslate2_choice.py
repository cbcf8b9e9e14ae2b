"""The choice of tokens for CTranslate2, in pure numpy, against transformers' own processors and warpers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as processors

from alcove.engines.ctranslate2.choice import BANNED_BELOW, Chooser
from alcove.engines.ctranslate2.logprobs import prompt_logprobs, token_logprob
from alcove.engines.ctranslate2.penalties import Penalties
from alcove.engines.ctranslate2.sampling import Sampling, draw, probabilities
from alcove.runs import DEFAULT_OPTIONS, Options

SIZE = 12
ENDS = (1,)
LOGITS = st.lists(st.integers(-300, 300), min_size=SIZE, max_size=SIZE, unique=True).map(
    lambda values: np.array(values, dtype=np.float32) / 32
)
"""All different, by more than rounding takes away."""
IDS = st.lists(st.integers(2, SIZE - 1), max_size=9)


def penalties(**options: object) -> Penalties:
    return Penalties(Options(**options).over(DEFAULT_OPTIONS), ENDS, SIZE)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(LOGITS, IDS, IDS, st.sampled_from([0.6, 1.0, 1.8]), st.integers(0, 4))
def test_penalties_are_those_of_transformers(
    logits: np.ndarray, prompt: list[int], output: list[int], penalty: float, ngram: int
) -> None:
    given = [0, *prompt]
    words = ((3,), (1,), (4, 5), (2, 3, 6), (4, 40))
    got = penalties(
        repetition_penalty=penalty, no_repeat_ngram_size=ngram, bad_words_ids=words, extra={"suppress_tokens": [7, 99]}
    ).apply(logits, given, output, len(output))
    ids, scores = torch.tensor([[*given, *output]]), torch.tensor(logits)[None]
    scores = processors.RepetitionPenaltyLogitsProcessor(penalty)(ids, scores)
    if ngram:
        scores = processors.NoRepeatNGramLogitsProcessor(ngram)(ids, scores)
    banned = [list(word) for word in words if max(word) < SIZE]
    scores = processors.NoBadWordsLogitsProcessor(banned, list(ENDS))(ids, scores)
    scores = processors.SuppressTokensLogitsProcessor([7])(ids, scores)
    np.testing.assert_allclose(got, scores[0].numpy(), rtol=1e-5)


def test_openais_penalties_count_the_output_only() -> None:
    logits = np.zeros(SIZE, dtype=np.float32)
    got = penalties(presence_penalty=1.0, frequency_penalty=0.25).apply(logits, [5, 5, 6], [7, 8, 7], 3)
    expected = np.zeros(SIZE, dtype=np.float32)
    expected[[7, 8]] = -1.5, -1.25
    np.testing.assert_array_equal(got, expected)


def test_the_end_stays_allowed_unless_it_is_ignored_or_too_early() -> None:
    logits = np.zeros(SIZE, dtype=np.float32)
    allowed = {"allowed_token_ids": (4, 6)}

    def open_ids(output: list[int], **more: object) -> list[int]:
        scores = penalties(**allowed, **more).apply(logits, [], output, len(output))
        return np.flatnonzero(scores > -np.inf).tolist()

    assert open_ids([]) == [1, 4, 6]
    assert open_ids([], ignore_eos=True) == [4, 6]
    assert open_ids([4], min_new_tokens=2, stop_token_ids=(6,)) == [4]
    assert open_ids([4, 4], min_new_tokens=2, stop_token_ids=(6,)) == [1, 4, 6]


@settings(max_examples=200, deadline=None)
@given(
    LOGITS,
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([0, 1, 4, 99]),
    st.sampled_from([0.05, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    st.sampled_from([0.2, 0.7, 1.0]),
    st.sets(st.integers(0, SIZE - 1), max_size=SIZE - 1),
)
def test_probabilities_are_those_of_transformers_warpers(
    logits: np.ndarray, temperature: float, top_k: int, top_p: float, min_p: float, typical_p: float, banned: set[int]
) -> None:
    logits[list(banned)] = -np.inf
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p)
    got = probabilities(logits, sampling)
    scores = torch.tensor(logits)[None]
    warpers = [
        processors.TemperatureLogitsWarper(temperature),
        *([processors.TopKLogitsWarper(top_k)] if top_k else []),
        *([processors.TopPLogitsWarper(top_p)] if top_p < 1 else []),
        processors.MinPLogitsWarper(min_p),
        *([processors.TypicalLogitsWarper(typical_p)] if typical_p < 1 else []),
    ]
    for warper in warpers:
        scores = warper(torch.zeros((1, 1), dtype=torch.long), scores)
    expected = scores[0].softmax(dim=-1).numpy()
    if (got > 0).tolist() == (expected > 0).tolist():
        np.testing.assert_allclose(got, expected, atol=1e-5)
    else:  # a cut that falls on a token's very edge
        assert _on_an_edge(scores[0], got)


def _on_an_edge(scores: torch.Tensor, got: np.ndarray) -> bool:
    """Whether only one token more or less was kept."""
    return abs(int((got > 0).sum()) - int((scores > -torch.inf).sum())) <= 1


def test_a_draw_takes_the_token_in_which_the_point_lies() -> None:
    weights = np.array([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    points = [0.0, 0.2, 0.25, 0.74, 0.76, 1.0]
    assert [draw(weights, point) for point in points] == [1, 1, 3, 3, 4, 4]


def chooser(
    *, sampling: Sampling | None = None, proposal: Sampling | None = None, seed: int | None = None, **options: object
) -> Chooser:
    return Chooser(penalties(**options), [0], forced=0, sampling=sampling, proposal=proposal, seed=seed)


def test_greedy_takes_the_best_permitted_token() -> None:
    logits = np.arange(SIZE, dtype=np.float32)
    assert chooser().choose(logits, SIZE - 1, []) == SIZE - 1
    assert chooser(bad_words_ids=((SIZE - 1,),)).choose(logits, SIZE - 1, []) == SIZE - 2


def test_where_nothing_is_permitted_there_is_no_token() -> None:
    logits = np.zeros(SIZE, dtype=np.float32)
    strict = chooser(allowed_token_ids=(4,), ignore_eos=True, no_repeat_ngram_size=1)
    assert strict.choose(logits, 4, []) == 4
    assert strict.choose(logits, 4, [4]) is None


def test_what_the_library_has_banned_itself_stays_banned() -> None:
    logits = np.zeros(SIZE, dtype=np.float32)
    logits[2:] = BANNED_BELOW
    drawn = {chooser(sampling=Sampling(temperature=0.1), seed=n).choose(logits, 0, []) for n in range(40)}
    assert drawn == {0, 1}


def test_kept_and_drawn_anew_together_follow_the_wanted_distribution() -> None:
    logits = np.linspace(-1, 1, SIZE).astype(np.float32)
    proposal = Sampling(temperature=1.0, top_k=8)
    wanted = Sampling(temperature=1.0, top_k=8, min_p=0.4)
    one = chooser(sampling=wanted, proposal=proposal, logit_bias={10: -2.0, 2: 1.5})
    random = np.random.default_rng(1)
    offered = probabilities(logits, proposal)
    biased = logits.copy()
    biased[10] -= 2.0
    biased[2] += 1.5
    expected = probabilities(biased, wanted)
    draws = 6000
    tokens = [one.choose(logits, draw(offered, random.random()), []) for _ in range(draws)]
    counts = np.bincount(np.array(tokens), minlength=SIZE)
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    statistic = ((counts - draws * expected)[kept] ** 2 / (draws * expected[kept])).sum()
    assert statistic < 40  # about 8 degrees of freedom: p < 1e-5


@pytest.mark.parametrize("seed", [0, 7, -7, 2**90])
def test_a_seed_and_a_position_fix_the_draw(seed: int) -> None:
    logits = np.zeros(SIZE, dtype=np.float32)

    def output() -> list[int]:
        one = chooser(sampling=Sampling(temperature=1.0), seed=seed)
        made: list[int] = []
        while len(made) < 12:
            token = one.choose(logits, 0, made)
            assert token is not None
            made.append(token)
        return made

    first = output()
    assert first == output()
    assert len(set(first)) > 3
    resumed = chooser(sampling=Sampling(temperature=1.0), seed=seed)
    assert resumed.choose(logits, 3, first[:5]) == first[5]


@settings(max_examples=60, deadline=None)
@given(LOGITS, st.integers(0, SIZE - 1), st.integers(0, SIZE + 5))
def test_logprobs_are_those_of_torch(logits: np.ndarray, token: int, top: int) -> None:
    got = token_logprob(logits, token, top)
    expected = torch.tensor(logits).log_softmax(dim=-1)
    assert got.logprob == pytest.approx(float(expected[token]), abs=1e-5)
    best = expected.topk(min(top, SIZE))
    assert [i for i, _ in got.top] == best.indices.tolist()
    assert [value for _, value in got.top] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_nothing_stands_before_a_prompts_first_token() -> None:
    logits = np.zeros((3, 4), dtype=np.float32)
    first, *later = prompt_logprobs(list(logits), (0, 2, 3), 1)
    assert first is None
    assert [entry.logprob for entry in later if entry] == pytest.approx([-np.log(4)] * 2)
