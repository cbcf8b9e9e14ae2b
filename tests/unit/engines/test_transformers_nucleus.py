"""`top_p` keeps what transformers' own processor keeps."""

import pytest
import torch
from transformers.generation.logits_process import TopPLogitsWarper

from alcove.engines.transformers.nucleus import LOOKED_AT, TopP


@pytest.mark.parametrize("size", [7, LOOKED_AT, 5000])
@pytest.mark.parametrize("spread", [0.5, 3.0])
@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("top_p", [0.0, 0.3, 0.9, 0.999])
def test_the_same_tokens_stay(size: int, spread: float, least: int, top_p: float) -> None:
    scores = torch.randn(4, size, generator=torch.Generator().manual_seed(size)) * spread
    ids = torch.zeros(4, 1, dtype=torch.long)
    expected = TopPLogitsWarper(top_p, min_tokens_to_keep=least)(ids, scores)
    assert torch.equal(TopP(top_p, least=least)(ids, scores.clone()), expected)


def test_tokens_that_are_banned_stay_so() -> None:
    scores = torch.full((2, 3000), -torch.inf)
    scores[0, :2] = 0.0
    got = TopP(0.9, least=1)(torch.zeros(2, 1), scores)
    assert got[0, :2].tolist() == [0.0, 0.0]
    assert (got == scores).all()
