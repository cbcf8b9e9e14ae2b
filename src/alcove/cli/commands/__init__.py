"""The command line: all commands, and what becomes of an error. Each command imports its work when it is called, so
that `alcove --help` answers at once.

Settings go in as flags; an `AlcoveError` comes out as one line on standard error and an exit code.
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer
from typer import Option

from alcove import __version__
from alcove.cli.commands import access, measuring, serving, store
from alcove.cli.failing import EXIT_CONFIGURATION, EXIT_MODEL, fail
from alcove.errors import AlcoveError, ModelLoadError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PANELS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "Serve": {"serve": serving.serve, "bench": measuring.bench},
    "Configure": {"init": serving.init, "check": serving.check, "key": access.key, "schema": serving.schema},
    "Models on this machine": {
        "pull": store.pull,
        "convert": store.convert,
        "list": store.list_models,
        "show": store.show,
        "verify": store.verify,
        "remove": store.remove,
    },
}
"""The commands by name, under the headings and in the order of `alcove --help`."""

for panel, commands in PANELS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)


def run() -> None:
    """Run the command line with the arguments of the process."""
    try:
        app(prog_name="alcove")
    except AlcoveError as error:
        fail([str(error)], EXIT_MODEL if isinstance(error, ModelLoadError) else EXIT_CONFIGURATION)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"alcove {__version__}")
        raise typer.Exit


@app.callback()
def alcove(
    version: Annotated[
        bool, Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Models on your own machine, behind the OpenAI API.

    \b
    alcove serve                       serve the built-in models
    alcove pull google/flan-t5-base    fetch a model from the Hub
    alcove serve google/flan-t5-base   serve it
    """
