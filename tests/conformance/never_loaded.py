"""alcove with a model, named "loading", that is never loaded: `python -m tests.conformance.never_loaded serve ...`."""

import threading
from typing import Any

from alcove.__main__ import main
from alcove.engines import echo

_load = echo.load


def _loaded(settings: Any) -> echo.EchoEngine:
    if settings.name == "loading":
        threading.Event().wait()
    return _load(settings)


if __name__ == "__main__":
    echo.load = _loaded
    main()
