"""How many workers a model has on a CPU, and how many threads each of them: from the settings, the machine, the model.

Measured in float32 on 2 cores, new tokens a second of a causal model of 125M (0.5 GB) with one worker of one thread,
one of two and two of one: 30, 31 and 55 for as many clients as workers, 102, 153 and 165 for sixteen rows. Much of a
step of `generate` is Python, which one thread of the process runs at a time, so that more workers than a few gain
nothing.
"""

from typing import Any

from alcove.config.settings import ModelSettings
from alcove.machine import usable_cores

BYTES_A_THREAD = 1_500_000_000
"""Weights of which each further thread wants as many."""
MOST_WORKERS = 4


def workers_and_threads(settings: ModelSettings, model: Any) -> tuple[int, int | None]:
    """Workers, and threads of one; what the settings leave open shares out the cores that the process may use. None
    leaves torch as it is: another device does the work."""
    if model.device.type != "cpu":
        return settings.workers or 1, settings.threads
    cores = usable_cores()
    if settings.workers is not None:
        return settings.workers, settings.threads or max(1, cores // settings.workers)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    threads = settings.threads or min(cores, max(1 + weights // BYTES_A_THREAD, cores // MOST_WORKERS))
    return min(MOST_WORKERS, max(1, cores // threads)), threads
