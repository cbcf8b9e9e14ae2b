"""`alcove serve`, `check`, `init` and `schema`: what can be typed, and its help. Registered by `cli/commands`.

Each imports its work when it is called, so that `alcove --help` answers at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

What = Annotated[
    str | None,
    typer.Argument(
        metavar="WHAT",
        help="A configuration file (alcove.toml, config.json), a model folder, a pulled name, or a built-in model.",
        show_default=False,
    ),
]


def serve(
    what: What = None,
    host: Annotated[str | None, Option(metavar="ADDRESS", help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, Option(metavar="PORT", help="Port to listen on; 8000 by default, 0 is any.")] = None,
    engine: Annotated[
        str | None, Option(metavar="ENGINE", help="What runs the models: auto, ctranslate2 or transformers.")
    ] = None,
    device: Annotated[str | None, Option(metavar="DEVICE", help="Where they run: auto, cpu, cuda, cuda:1.")] = None,
    compute_type: Annotated[
        str | None, Option(metavar="TYPE", help="Precision of the weights: auto, int8, float32...")
    ] = None,
    log_level: Annotated[
        str | None, Option(metavar="LEVEL", help="How much is logged: debug, info, warning or error.")
    ] = None,
    keys_file: Annotated[
        Path | None, Option(metavar="FILE", help="Keys of which clients must send one; a line for each.")
    ] = None,
    insecure_no_auth: Annotated[
        bool, Option("--insecure-no-auth", help="Answer everyone, on any address, without keys.")
    ] = False,
    reload: Annotated[bool, Option("--reload", help="Restart when alcove's own code changes.")] = False,
) -> None:
    """Serve models until Ctrl-C.

    WHAT says which. Without it: $LLM_ARTIFACT_DIR, else an alcove.toml or a
    config.json with MODELS in this folder, else the built-in models.
    A setting comes from alcove.toml, from a variable like ALCOVE_PORT, or
    from an option; the last one wins. $ALCOVE_API_KEYS holds the keys that
    clients must send, separated by commas.

    \b
    alcove serve                          what is configured here
    alcove serve ./my-model --port 9000   a model folder
    alcove serve google/flan-t5-base      a model that was pulled
    alcove serve alcove.toml              a configuration file
    """
    from alcove.cli.serve import serve

    flags: dict[str, Any] = {
        "host": host,
        "port": port,
        "engine": engine,
        "device": device,
        "compute_type": compute_type,
        "log_level": log_level,
        "keys_file": None if keys_file is None else str(keys_file),
        "insecure_no_auth": insecure_no_auth or None,
    }
    serve(what, flags, reload=reload)


def check(what: What = None) -> None:
    """Show every setting `alcove serve [WHAT]` would use, and its origin.

    Where something is wrong, a line says so for each such thing, with the
    nearest right name, and the exit code is 2. The models' folders are
    looked at, too; nothing is loaded.

    \b
    alcove check
    ALCOVE_PORT=9000 alcove check alcove.toml
    """
    from alcove.cli.check import check

    check(what)


def init(
    output: Annotated[
        Path, Option("--output", "-o", metavar="FILE", help="Where to write it; - is standard output.")
    ] = Path("alcove.toml"),
    force: Annotated[bool, Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented alcove.toml for the models in the store.

    Each gets a table of its own; without any, the built-in models do. All
    other settings stand there commented out, at their defaults.

    \b
    alcove init
    alcove init --output /etc/alcove.toml
    alcove init --output - | less
    """
    from alcove.cli.init import init

    init(output, force=force)


def schema() -> None:
    """Print the JSON schema of alcove.toml, for editors.

    One that knows JSON schemas (Even Better TOML, taplo) then completes
    and checks the file whose first line is #:schema ./alcove.schema.json

    \b
    alcove schema > alcove.schema.json
    """
    from importlib.resources import files

    typer.echo(files("alcove.config").joinpath("alcove.schema.json").read_text(encoding="utf-8"), nl=False)
