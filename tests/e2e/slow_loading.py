"""alcove whose model `late` is not loaded before the file `go` lies in the working directory:
`python -m tests.e2e.slow_loading serve ...`."""

import time
from pathlib import Path
from typing import Any

from alcove.__main__ import main
from alcove.config.settings import ModelSettings
from alcove.pipeline.model import Model

_load = Model.load


def _loading(folder: Any, settings: ModelSettings, *more: Any) -> Model:
    while settings.name == "late" and not Path("go").exists():
        time.sleep(0.01)
    return _load(folder, settings, *more)


if __name__ == "__main__":
    Model.load = _loading  # type: ignore[method-assign, assignment]
    main()
