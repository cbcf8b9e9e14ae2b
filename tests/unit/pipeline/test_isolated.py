"""An engine in a process of its own: it answers as it would in ours, dies without harm, and leaves nothing behind."""

import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from alcove.config.settings import ModelSettings
from alcove.engines.base import Vocabulary
from alcove.errors import ConfigurationError, ModelLoadError, ModelLoading, ModelUnavailable, ShuttingDown
from alcove.pipeline.cores import Cores
from alcove.pipeline.isolated import IsolatedEngine, open_isolated, restarts
from alcove.pipeline.isolated.link import Link, packed
from alcove.pipeline.isolated.messages import Cancel, Submit, ToChild
from alcove.pipeline.isolated.process import MODULE
from alcove.pipeline.isolated.restarts import Restarts
from alcove.pipeline.serving import open_serving
from alcove.runs import Fault, Options, Run, Step
from alcove.store.find import find
from alcove.store.folder import ModelFolder
from alcove.store.recognise import recognise
from tests import sinks

TIMEOUT_S = 20
ECHO = Vocabulary(tuple(map(str, range(300))), tuple(map(str, range(300))))


class Steps(sinks.Steps):
    """Knows how each run has ended."""

    def ends(self) -> dict[str, Step]:
        return {step.run: step for step in self.taken if step.finish or step.error}

    def wait(self, ends: int) -> dict[str, Step]:
        self.until(lambda: len(self.ends()) >= ends)
        return self.ends()


def folder(source: str) -> ModelFolder:
    return recognise(find(source, None, "auto", Path("nowhere")))


def echo(**options: Any) -> ModelSettings:
    more = {name: options.pop(name) for name in ("max_queue", "workers") if name in options}
    return ModelSettings(name="m", source="builtin:echo", engine="echo", engine_options=options, **more)


@contextmanager
def opened(settings: ModelSettings, on_death: Callable[[str], None] = pytest.fail) -> Iterator[IsolatedEngine]:
    engine = open_isolated(folder("builtin:echo"), settings, ECHO, on_death)
    try:
        yield engine
    finally:
        engine.close()


def run(name: str, tokens: int = 3, **more: Any) -> Run:
    return Run(id=name, tokens=tuple(range(1, tokens + 1)), max_new_tokens=more.pop("max_new_tokens", 1000), **more)


def until(true: Callable[[], bool], seconds: float = TIMEOUT_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def without_times(steps: Sequence[Step]) -> list[Step]:
    return [msgspec.structs.replace(step, times=None) for step in steps]


# ---- while it lives


def test_it_says_what_the_engine_would_say_here() -> None:
    runs = [
        run("plain"),
        run("limit", 50, max_new_tokens=4),
        run("odd", options=Options(ignore_eos=True, logit_bias={1: 2.0}, extra={"a": [1, None]}), max_new_tokens=9),
        run("known", logprobs=2, prompt_logprobs=1),
        run("stopped", options=Options(stop_token_ids=(2,), bad_words_ids=((1, 2),))),
    ]
    told = []
    with opened(echo()) as isolated:
        here = open_serving(folder("builtin:echo"), echo(), ECHO, Cores(1))
        assert isolated.capabilities == here.capabilities
        for engine in (isolated, here):
            steps = Steps()
            for one in runs:
                engine.check(one)
                engine.submit([one], steps)
                steps.wait(len(steps.ends()) + 1)
            told.append(without_times(steps.taken))
        here.close()
    assert told[0] == told[1]


def test_what_the_engine_refuses_ends_with_the_reason() -> None:
    settings = ModelSettings(name="m", source="builtin:alcove-seq2seq", max_queue=0, workers=1, threads=1)
    model = folder(settings.source)
    words = Vocabulary(("not one of its tokens",), ("not one of its tokens",))
    with pytest.raises(ModelLoadError) as failure:  # what the loading says comes through as it is, too
        open_isolated(model, settings, words, pytest.fail)
    with pytest.raises(ModelLoadError) as here:
        open_serving(model, settings, words, Cores(1))
    assert str(failure.value) == str(here.value)
    from alcove.pipeline.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(model, settings)
    words = Vocabulary(tokenizer.source_tokens, tokenizer.target_tokens)
    engine = open_isolated(model, settings, words, pytest.fail)
    try:
        steps = Steps()
        engine.submit([run("empty", 0)], steps)
        engine.submit([run("beyond", options=Options(temperature=-1.0))], steps)
        ends = steps.wait(2)
    finally:
        engine.close()
    assert [(end.fault and (end.fault.kind, end.fault.param)) for end in ends.values()] == [
        ("invalid", "prompt"),
        ("invalid", "temperature"),
    ]
    assert ends["empty"].error == "The prompt is empty."


def test_a_full_queue_and_what_waits() -> None:
    steps = Steps()
    with opened(echo(delay_s=0.02, max_queue=1)) as engine:
        engine.submit([run("running", 2000)], steps)
        steps.until(lambda: any(step.began for step in steps.taken))
        engine.submit([run("waiting", 2000), run("too", 2000)], steps)
        engine.submit([run("refused")], steps)
        end = steps.wait(1)["refused"]
        assert end.fault is not None
        assert end.fault.kind == "overloaded"
        assert "requests are waiting" in (end.error or "")
        assert engine.waiting == 1
        for name in ("running", "waiting", "too", "unknown"):
            engine.cancel(name)
        engine.submit([run("next")], steps)
        assert steps.wait(2)["next"].finish == "stop"
    assert set(steps.ends()) == {"refused", "next"}


def test_its_log_is_ours(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps()
    logging.getLogger("alcove").addHandler(caplog.handler)
    try:
        with opened(echo(fail_after=1)) as engine:
            engine.submit([run("a")], steps)
            assert steps.wait(1)["a"].error == "RuntimeError: the echo engine was told to fail"
            until(lambda: "Traceback" in caplog.text)
    finally:
        logging.getLogger("alcove").removeHandler(caplog.handler)
    record = next(record for record in caplog.records if "Traceback" in record.message)
    assert (record.name, record.levelname) == ("alcove.pipeline.batcher", "ERROR")


def test_it_has_no_secrets_and_its_threads_are_set_before_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALCOVE_API_KEYS", "secret")
    settings = echo().model_copy(update={"threads": 3})
    with opened(settings) as engine:
        environment = psutil.Process(engine.pid).environ()
    assert "secret" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "3"


def test_signals_that_stop_a_server_are_not_for_it() -> None:
    steps = Steps()
    with opened(echo()) as engine:
        assert engine.pid is not None
        assert os.getpgid(engine.pid) != os.getpgid(0), "a terminal's Ctrl-C goes to the server's group"
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(engine.pid, number)
        engine.submit([run("a")], steps)
        assert steps.wait(1)["a"].finish == "stop"


# ---- when it dies


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_runs_fail_at_once_and_it_is_back_soon(number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps()
    with opened(echo(delay_s=0.01)) as engine:
        pid = engine.pid
        assert pid is not None
        engine.submit([run("a", 2000), run("b", 2000)], steps)
        steps.until(lambda: len(steps.taken) > 10)
        engine.submit([run("waits", 2000)], steps)
        os.kill(pid, number)
        died = time.monotonic()
        ends = steps.wait(3)
        assert time.monotonic() - died < 2
        assert all(f"was ended by {number.name}" in (end.error or "") for end in ends.values())
        assert all(end.fault == Fault(kind="died") for end in ends.values())
        with pytest.raises(ModelLoading):
            engine.submit([run("early")], steps)
        assert "its engine's process was ended by" in (engine.trouble or "")
        until(lambda: engine.trouble is None)
        assert time.monotonic() - died < 5
        engine.submit([run("again")], steps)
        assert steps.wait(4)["again"].finish == "stop"
        assert engine.pid != pid
        assert gone(pid)
    assert len([step for step in steps.taken if step.error]) == 3, "each run ends once"


def test_one_that_hangs_is_killed() -> None:
    steps = Steps()
    with opened(echo(fail_after=5, fault="hang")) as engine:
        engine.submit([run("a", 10)], steps)
        steps.until(lambda: len(steps.taken) > 4)
        engine.restart("it hangs")
        assert steps.wait(1)["a"].error == "it hangs"
        until(lambda: engine.trouble is None)
        engine.submit([run("short")], steps)
        assert steps.wait(2)["short"].finish == "stop"


def test_one_that_dies_time_and_again_is_tried_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "MOST", 2)
    monkeypatch.setattr(restarts, "FIRST_PAUSE_S", 0.05)
    died: list[str] = []
    with opened(echo(fail_after=0, fault="crash"), died.append) as engine:
        for number in range(3):
            until(lambda: engine.trouble is None)
            steps = Steps()
            engine.submit([run(str(number))], steps)
            steps.wait(1)
        until(lambda: bool(died))
        with pytest.raises(ModelUnavailable):
            engine.submit([run("late")], Steps())
        begun = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - begun < 0.1, "it must not be busy with a model that fails"
    assert len(died) == 1
    assert died[0] == "model 'm': its engine's process was ended by SIGSEGV, time and again"


def test_closing_ends_all_runs_and_leaves_no_process() -> None:
    steps, before = Steps(), threading.active_count()
    engine = open_isolated(folder("builtin:echo"), echo(delay_s=0.01), ECHO, pytest.fail)
    pid = engine.pid
    assert pid is not None
    engine.submit([run("a", 2000)], steps)
    steps.until(lambda: bool(steps.taken))
    engine.close()
    end = steps.wait(1)["a"]
    assert end.fault is not None
    assert end.fault.kind == "stopping"
    assert gone(pid)
    with pytest.raises(ShuttingDown):
        engine.submit([run("late")], steps)
    until(lambda: threading.active_count() == before)


def engines() -> list[psutil.Process]:
    """The children that are engines; other tests' servers may be running, too."""
    return [child for child in psutil.Process().children() if MODULE in child.cmdline()]


def test_what_cannot_be_loaded_is_told_once_and_not_tried_again() -> None:
    with pytest.raises(ConfigurationError, match="engine_options of echo are delay_s"), opened(echo(nonsense=1)):
        pass
    assert not engines()


def test_a_crash_while_it_loads_is_an_error_of_the_start() -> None:
    failures: list[BaseException] = []

    def load() -> None:
        try:
            open_isolated(folder("builtin:echo"), echo(), ECHO, pytest.fail).close()
        except ModelLoadError as error:
            failures.append(error)

    loading = threading.Thread(target=load)
    loading.start()
    until(lambda: bool(engines()))
    engines()[0].kill()
    loading.join(TIMEOUT_S)
    assert str(failures[0]).startswith("model 'm': its engine's process was ended by SIGKILL")


def test_it_dies_with_its_parent_even_if_it_cannot_look_up() -> None:
    script = textwrap.dedent("""
        import sys, time
        from tests.unit.pipeline.test_isolated import *
        engine = open_isolated(folder("builtin:echo"), echo(), ECHO, print)
        print(engine.pid, flush=True)
        time.sleep(60)
    """)
    root = Path(__file__).parents[3]
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.communicate()
    until(lambda: gone(pid), 5)


# ---- the border


def test_what_is_no_message_is_not_taken_for_one() -> None:
    ours, theirs = socket.socketpair()
    link: Link[ToChild] = Link(ours, ToChild)
    message = Submit((run("a", options=Options(logit_bias={3: 1.5})),))
    theirs.sendall(packed(message) + packed(Cancel("b")))
    assert (link.receive(), link.receive()) == (message, Cancel("b"))
    theirs.sendall(struct.pack("!I", 3) + b"\xc1\xc1\xc1")
    with pytest.raises(msgspec.DecodeError):
        link.receive()
    theirs.sendall(packed(message)[:-1])
    theirs.close()
    assert link.receive() is None
    assert link.receive() is None
    link.close()


def test_pauses_grow_and_a_sound_life_starts_anew() -> None:
    policy = Restarts()
    assert [policy.pause_s(1) for _ in range(7)] == [0, 0.5, 1, 2, 60, 60, 60]
    assert policy.failed
    assert policy.pause_s(100) == 0
    assert not policy.failed
