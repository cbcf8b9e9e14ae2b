"""How many workers a model has, and how many threads each of them: from the settings, the machine and the model.

A thread more a worker must be waited for at every operator. Measured with int8 models on 2 cores, one worker of two
threads against two of one: tokens a second for one client, and for sixteen rows,

    60 MB    0.45    0.32
    215 MB   0.88    0.60
    780 MB   1.14    0.83

so that small models lose by it, and large ones gain for a lone client only. `alcove bench --tune` measures it anew.
"""

from alcove.config.settings import ModelSettings
from alcove.machine import usable_cores
from alcove.store.folder import ModelFolder

BYTES_A_THREAD = 1_500_000_000
"""Weights of which each further thread wants as many."""


def workers_and_threads(settings: ModelSettings, folder: ModelFolder, *, cuda: bool) -> tuple[int, int]:
    """Workers, and threads of one; what the settings leave open shares out the cores that the process may use."""
    cores = usable_cores()
    if cuda:
        return settings.workers or 1, settings.threads or 1
    weights = (folder.path / "model.bin").stat().st_size
    wanted = min(1 + weights // BYTES_A_THREAD, cores // (settings.workers or 1))
    threads = settings.threads or max(1, wanted)
    return settings.workers or max(1, cores // threads), threads
