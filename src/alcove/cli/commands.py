"""The command line: what can be typed, and its help. Each command imports its work when it is called, so that
`alcove --help` answers at once.

Settings go in as flags; an `AlcoveError` comes out as one line on standard error and an exit code.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from alcove import __version__
from alcove.errors import AlcoveError, ModelLoadError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

What = Annotated[
    str | None,
    typer.Argument(
        metavar="WHAT",
        help="A configuration file (alcove.toml, config.json), a model folder, a pulled name, or a built-in model.",
        show_default=False,
    ),
]

EXIT_CONFIGURATION = 2
EXIT_MODEL = 3


def run() -> None:
    """Run the command line with the arguments of the process."""
    try:
        app(prog_name="alcove")
    except AlcoveError as error:
        _fail(str(error), EXIT_MODEL if isinstance(error, ModelLoadError) else EXIT_CONFIGURATION)


def _fail(message: str, code: int) -> None:
    name = "\033[31malcove:\033[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else "alcove:"
    print(name, message, file=sys.stderr)  # noqa: T201 - the one place that tells a person of an error
    sys.exit(code)


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


@app.command()
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


@app.command()
def pull(
    repo: Annotated[str, typer.Argument(metavar="REPO", help="A model's name on the Hub, like google/flan-t5-base.")],
    revision: Annotated[str | None, Option(metavar="REVISION", help="A branch, tag or commit.")] = None,
) -> None:
    """Fetch a model from the Hugging Face Hub.

    It goes to $ALCOVE_HOME/models, by default ~/.local/share/alcove/models.
    A pull that was cut goes on where it was when it is asked for again.

    \b
    alcove pull Helsinki-NLP/opus-mt-en-de
    alcove serve Helsinki-NLP/opus-mt-en-de
    """
    from alcove.cli.models import pull

    pull(repo, revision)


@app.command("list")
def list_models() -> None:
    """Show the models on this machine: built in, and pulled."""
    from alcove.cli.models import show_models

    show_models()


@app.command()
def check(what: What = None) -> None:
    """Show every setting `alcove serve [WHAT]` would use, and its origin.

    Nothing is loaded. The exit code is 2 when a setting is wrong.

    \b
    alcove check
    ALCOVE_PORT=9000 alcove check alcove.toml
    """
    from alcove.cli.check import check

    check(what)


@app.command()
def bench(
    target: Annotated[
        str,
        typer.Argument(
            metavar="URL|MODEL",
            help="A server's URL, or what `alcove serve` takes: it is served for as long as it is measured.",
        ),
    ],
    clients: Annotated[
        str | None,
        Option(
            metavar="NUMBERS", help="Clients at a time, each of which waits for its answer; a level for each. [1,8,32]"
        ),
    ] = None,
    rate: Annotated[
        str | None,
        Option(metavar="NUMBERS", help="Instead: arrivals a second (Poisson), which wait for nothing; like 2,4,8."),
    ] = None,
    requests: Annotated[
        int | None,
        Option(min=1, metavar="NUMBER", help="Requests of a level; 8 a client or 20 s of arrivals, 16 at the least."),
    ] = None,
    model: Annotated[
        str | None, Option(metavar="NAME", help="The model to ask for; the server's first one if left out.")
    ] = None,
    stream: Annotated[bool, Option("--stream/--whole", help="Ask for streams, or for whole answers.")] = True,
    chat: Annotated[bool, Option("--chat", help="Ask for chats instead of completions.")] = False,
    prompt_tokens: Annotated[
        str, Option(metavar="RANGE", help="Words of the made-up prompts, about a token each: 70, or 20-200.")
    ] = "70",
    max_tokens: Annotated[str, Option(metavar="RANGE", help="Most tokens of an answer: 64, or 8-128.")] = "64",
    prompts: Annotated[Path | None, Option(metavar="FILE", help="Prompts to send instead, one a line.")] = None,
    ignore_eos: Annotated[
        bool, Option("--ignore-eos", help="Let no answer end early, for servers that know `ignore_eos`.")
    ] = False,
    seed: Annotated[int, Option(metavar="NUMBER", help="What prompts, lengths and arrivals are drawn with.")] = 0,
    check: Annotated[
        bool,
        Option(
            "--check/--no-check",
            help="Ask each of up to 32 different requests alone first; its text under load must be the same.",
        ),
    ] = True,
    timeout: Annotated[float, Option(min=0.1, metavar="SECONDS", help="How long an answer may take.")] = 300.0,
    key_env: Annotated[
        str, Option(metavar="NAME", help="The variable of the environment that holds a URL's key.")
    ] = "OPENAI_API_KEY",
    json_file: Annotated[
        Path | None, Option("--json", metavar="FILE", help="Write the figures and each request's times as JSON.")
    ] = None,
    plot_file: Annotated[
        Path | None, Option("--plot", metavar="FILE", help="Draw latency and throughput: .svg or .png.")
    ] = None,
    tune: Annotated[
        bool, Option("--tune", help="Try pairs of workers and threads for MODEL, and say which to set.")
    ] = False,
) -> None:
    """Measure a server under load: this one, or any with OpenAI's API.

    Prompts are made up, the temperature is 0. The exit code is 1 when a
    request fails, or a text under load is not the one it is alone.

    \b
    alcove bench http://127.0.0.1:8000                a server that runs
    alcove bench ./my-model --clients 1,16            a model folder
    alcove bench google/flan-t5-base --rate 2,4,8     arrivals a second
    alcove bench ./my-model --tune                    workers and threads
    alcove bench http://127.0.0.1:11434 --model qwen3 --plot load.svg
    """
    from alcove.bench.plan import Between, Plan, loads, prompts_in
    from alcove.cli.bench import bench

    plan = Plan(
        loads=loads(clients, rate),
        model=model,
        requests=requests,
        stream=stream,
        chat=chat,
        prompt_words=Between.of(prompt_tokens, "--prompt-tokens"),
        max_tokens=Between.of(max_tokens, "--max-tokens"),
        prompts=prompts_in(prompts) if prompts else (),
        ignore_eos=ignore_eos,
        seed=seed,
        check=check,
        timeout_s=timeout,
    )
    bench(target, plan, tuning=tune, key_env=key_env, json_file=json_file, plot_file=plot_file)
