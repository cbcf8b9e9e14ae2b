"""The commands for models on this machine: what can be typed, and its help. Registered by `cli/commands/__init__.py`.

Each imports its work when it is called, so that `alcove --help` answers at once.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Option

AsJson = Annotated[bool, Option("--json", help="Print JSON, for programs; sizes in bytes.")]


Engine = Annotated[
    Literal["auto", "ctranslate2", "transformers"],
    Option(help="What shall run it: auto converts for ctranslate2 what can be, and keeps the rest."),
]
Quantization = Annotated[
    str | None, Option(metavar="TYPE", help="Weights of a conversion: int8, int8_float32, float16, float32... [int8]")
]


def pull(
    repo: Annotated[
        str, typer.Argument(metavar="REPO[@REVISION]", help="A model's name on the Hub, like google/flan-t5-base.")
    ],
    revision: Annotated[str | None, Option(metavar="REVISION", help="A branch, tag or commit.")] = None,
    engine: Engine = "auto",
    quantization: Quantization = None,
) -> None:
    """Fetch a model from the Hugging Face Hub, check it, and convert it.

    It goes to $ALCOVE_HOME/models. A pull that was cut goes on where it was
    when it is asked for again; nothing is served before it is complete.
    $HF_TOKEN opens private repositories. Conversions need the extra:
    pip install 'alcove\\[convert]'.

    \b
    alcove pull Helsinki-NLP/opus-mt-en-de
    alcove pull google/flan-t5-base --quantization int8_float32
    alcove pull facebook/bart-base@main --engine transformers
    """
    from alcove.cli.pull import pull

    pull(repo, revision, engine, quantization)


def convert(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A folder with a model of transformers.", exists=True, file_okay=False),
    ],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[TARGET]", help="A new folder; the store when left out.", show_default=False),
    ] = None,
    quantization: Quantization = None,
) -> None:
    """Convert a model of transformers to CTranslate2's layout.

    In the store it is found whenever FOLDER is served with the engine
    ctranslate2 and this type; there it is made anew when FOLDER changes.
    Needs the extra: pip install 'alcove\\[convert]'.

    \b
    alcove convert ./my-t5
    alcove convert ./my-t5 ./my-t5-int8 --quantization int8_float32
    """
    from alcove.cli.convert import convert
    from alcove.store.convertible import QUANTIZATION

    convert(folder, target, quantization or QUANTIZATION)


def list_models(as_json: AsJson = False) -> None:
    """Show the models on this machine: built in, and in the store.

    Memory is what a model is estimated to take when it is served.

    \b
    alcove list
    alcove list --json | jq '.[].name'
    """
    from alcove.cli.listing import show_models

    show_models(as_json=as_json)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model's name, as `alcove list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Show what is known of a model: origin, limits, defaults, files.

    Nothing is loaded. Generation defaults are the model's own; alcove.toml
    and requests go before them.

    \b
    alcove show google/flan-t5-base
    alcove show alcove-chat --json
    """
    from alcove.cli.details import show_model

    show_model(name, as_json=as_json)


def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Models of the store, as `alcove list` shows.")],
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask, even on a terminal.")] = False,
) -> None:
    """Remove models from the store, and say how much space that freed.

    All layouts of a name go: what was pulled, and what was converted of it.
    Folders elsewhere stay as they are. When a name is wrong, nothing is
    removed, and the exit code is 2.

    \b
    alcove remove google/flan-t5-base
    alcove remove --yes org/one org/two
    """
    from alcove.cli.removal import remove

    remove(names, yes=yes)


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Models of the store; all when left out.", show_default=False),
    ] = None,
) -> None:
    """Read models of the store, and compare them with what was written.

    The exit code is 3, with a line for each file that is missing, changed,
    or was not there when the model was pulled or converted.

    \b
    alcove verify
    alcove verify google/flan-t5-base
    """
    from alcove.cli.verification import verify

    verify(names or [])
