"""Draws repeat, follow the probabilities, and do not hang on the last bits of these."""

import numpy as np

from alcove.engines.draws import waits

SEEDS = (-1, 0, 1, 2**64 - 2, 2**70 + 9)


def test_a_seed_and_a_position_fix_the_waits_and_no_two_share_them() -> None:
    keys = [(seed, position) for seed in SEEDS for position in range(4)]
    first = [tuple(waits(*key, 8)) for key in keys]
    assert first == [tuple(waits(*key, 8)) for key in keys]
    assert len(set(first)) == len(keys)


def test_the_winners_follow_the_probabilities() -> None:
    wanted = np.array([0.0, 0.4, 0.0, 0.1, 0.3, 0.2])
    draws = 6000
    winners = [int((wanted / waits(seed, 0, len(wanted))).argmax()) for seed in range(draws)]
    counts = np.bincount(winners, minlength=len(wanted))
    assert counts[wanted == 0].sum() == 0
    kept = wanted > 0
    expected = draws * wanted[kept]
    assert ((counts[kept] - expected) ** 2 / expected).sum() < 30  # 3 degrees of freedom: p < 1e-5


def test_last_bits_hardly_ever_change_a_draw() -> None:
    """A point on the line of shares, the simpler way to draw, meets other tokens far more often."""
    logits = np.random.default_rng(0).normal(0, 1, 2000)
    disturbed = logits + np.where(np.arange(2000) < 1000, 1e-5, 0)
    sides = [np.exp(values) / np.exp(values).sum() for values in (logits, disturbed)]
    changed = [0, 0]
    for seed in range(4000):
        point = np.random.default_rng(seed).random()
        changed[0] += len({int((side / waits(seed, 0, 2000)).argmax()) for side in sides}) > 1
        changed[1] += len({int(np.searchsorted(side.cumsum(), point)) for side in sides}) > 1
    assert changed[0] <= 2 < 8 < changed[1]
