"""Whether streams flow on while another model is loaded, and whether its memory comes back."""

import threading
import time
from itertools import pairwise
from pathlib import Path

from tests.bench.figures import Row, Theme, at_most, seconds
from tests.bench.served import Loaded, Served, serving
from tests.bench.setting import Setting
from tests.bench.workload import body, sources

STREAMS = 4
STEP_S = 0.02
CONFIGURATION = """
[[model]]
name = "echo"
source = "builtin:echo"
engine = "echo"
engine_options = {{ delay_s = {step} }}

[[model]]
name = "other"
source = "{folder}"
load = "first_use"
"""
THEME = Theme(
    title="Loading beside streams",
    figure="longest gap",
    beside=("gap p99", "longest gap before", "loaded and answered in"),
    how=f"Four streams of an engine that makes a token every {STEP_S * 1000:.0f} ms, while the first request for "
    "another model has it loaded in the same process.",
)


def loading(setting: Setting) -> list[Row]:
    int8, floats = setting.model("t5-223m"), setting.model("t5-60m")
    return [
        _row(setting, "T5 223M int8, CTranslate2", int8.ctranslate2),
        _row(setting, "T5 60M float32, transformers", floats.transformers),
    ]


def _row(setting: Setting, name: str, folder: Path) -> Row:
    file = setting.scratch / "loading.toml"
    file.write_text(CONFIGURATION.format(step=STEP_S, folder=folder))
    with serving(str(file), scratch=setting.scratch) as served:
        echo = served.of("echo")
        setting.say(f"{name}: streams alone")
        before = _streams(echo, tokens=200)
        setting.say(f"{name}: streams while it is loaded")
        found: list[Loaded] = []
        streaming = threading.Thread(target=lambda: found.append(_streams(echo, tokens=800)))
        streaming.start()
        time.sleep(2)  # the streams flow
        begun = time.monotonic()
        served.of("other").closed([body(sources(1)[0], 1)], clients=1)
        took = time.monotonic() - begun
        streaming.join()
    gap = found[0].level.gap_s
    assert gap is not None
    longest = _longest(found[0])
    return Row(
        what=name,
        value=longest,
        shown=seconds(longest),
        bar=at_most(0.25),
        beside=(seconds(gap.p99), seconds(_longest(before)), seconds(took)),
    )


def _streams(echo: Served, *, tokens: int) -> Loaded:
    """Streams of so many tokens, each of an own prompt."""
    prompts = [str(number) * tokens for number in range(STREAMS)]
    return echo.closed([body(prompt, tokens, streamed=True) for prompt in prompts], clients=STREAMS)


def _longest(loaded: Loaded) -> float:
    return max(after - before for one in loaded.level.answered for before, after in pairwise(one.chunk_times))
