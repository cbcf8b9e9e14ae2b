"""`alcove bench`: what can be typed, and its help. Registered by `cli/commands/__init__.py`."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option


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
