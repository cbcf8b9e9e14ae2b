"""The application for any ASGI server, `uvicorn alcove.asgi:app`: serves what `alcove serve` would serve here.

Environment and working directory are read at ASGI start-up, not at import. The address is another program's choice,
so without keys only clients on this machine are answered, unless ALCOVE_INSECURE_NO_AUTH=1.
"""

import os
from functools import partial
from pathlib import Path

from alcove.cli.logs import configure
from alcove.config.load import load
from alcove.server.app import create_app
from alcove.server.lifespan import Lazy


def _make_app() -> Lazy:
    load_again = partial(load, None, os.environ, {}, Path.cwd(), address_known=False)
    loaded = load_again()
    configure(loaded.settings.server.log_level, loaded.warnings, loaded.settings.server.log_format)
    return create_app(loaded.settings, load_again)


app = Lazy(_make_app)
