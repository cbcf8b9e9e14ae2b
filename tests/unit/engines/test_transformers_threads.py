"""How workers and threads are chosen for torch."""

import pytest
import torch

from alcove.config.settings import ModelSettings
from alcove.engines.transformers import threads
from alcove.engines.transformers.threads import workers_and_threads


class Weights:
    """As much of a model as is looked at; its weights take no memory."""

    def __init__(self, size: int, device: str) -> None:
        self.device = torch.device(device)
        self._size = size

    def parameters(self) -> list[torch.Tensor]:
        return [torch.empty(self._size, dtype=torch.int8, device="meta")]


@pytest.mark.parametrize(
    ("cores", "gigabytes", "settings", "chosen"),
    [
        (2, 0.5, {}, (2, 1)),
        (2, 2.0, {}, (1, 2)),
        (2, 0.5, {"workers": 1}, (1, 2)),
        (2, 0.5, {"threads": 2}, (1, 2)),
        (2, 0.5, {"workers": 3, "threads": 5}, (3, 5)),
        (1, 9.0, {}, (1, 1)),
        (16, 0.5, {}, (4, 4)),
        (16, 9.0, {}, (2, 7)),
    ],
)
def test_cores_are_shared_out(
    monkeypatch: pytest.MonkeyPatch, cores: int, gigabytes: float, settings: dict[str, int], chosen: tuple[int, int]
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    asked = ModelSettings(name="m", source="m", **settings)
    assert workers_and_threads(asked, Weights(int(gigabytes * 1e9), "cpu")) == chosen


def test_another_device_has_one_worker() -> None:
    assert workers_and_threads(ModelSettings(name="m", source="m"), Weights(10**9, "meta")) == (1, None)
