"""The parent's side: an `Engine` whose model is in a child, which is started again when it dies.

One thread starts the children, one after the other, and reads what they say; it hands steps to their sinks.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from alcove.config.settings import ModelSettings
from alcove.engines.base import Capabilities, Sink, Vocabulary
from alcove.engines.faults import STOPPING
from alcove.errors import AlcoveError, ConfigurationError, ModelLoadError, ModelLoading, ModelUnavailable, ShuttingDown
from alcove.metrics.series import Histogram
from alcove.pipeline.isolated.messages import Cancel, Failed, Hangs, Load, News, Ready, Record, Submit, ToParent
from alcove.pipeline.isolated.open_runs import OpenRuns
from alcove.pipeline.isolated.process import Process
from alcove.pipeline.isolated.restarts import Restarts
from alcove.runs import Fault, Run
from alcove.store.folder import ModelFolder

logger = logging.getLogger(__name__)


def open_isolated(
    folder: ModelFolder,
    settings: ModelSettings,
    vocabulary: Vocabulary,
    on_death: Callable[[str], None],
    sizes: Histogram | None = None,
) -> "IsolatedEngine":
    """Load the folder's model in a process of its own. Blocks until it is ready; raises `ModelLoadError` or
    `ConfigurationError`.

    A process that dies is started again. When that has happened too often in a row, `on_death` is told the reason in
    one line, in a thread of the engine's, where it must neither wait nor close the engine; attempts become rare then.
    `sizes` counts the sizes of batches.
    """
    load = Load(
        folder=str(folder.path.absolute()),
        settings=settings.model_dump_json().encode(),
        source=vocabulary.source,
        target=None if vocabulary.target is vocabulary.source else vocabulary.target,
        log_level=logging.getLogger("alcove").getEffectiveLevel(),
    )
    return IsolatedEngine(load, settings, on_death, sizes)


class IsolatedEngine:
    """Implements `Engine`."""

    capabilities: Capabilities
    """What the engine in the child honours."""

    def __init__(
        self, load: Load, settings: ModelSettings, on_death: Callable[[str], None], sizes: Histogram | None
    ) -> None:
        """See `open_isolated`."""
        self._load = load
        self._name = settings.name
        self._threads = settings.threads
        self._on_death = on_death
        self._sizes = sizes
        self._lock = threading.Lock()
        self._runs = OpenRuns()
        self._process: Process | None = None
        self._ready_at: float | None = None
        """When the present child's model was loaded; None while it is not."""
        self._trouble = f"model '{self._name}': its engine's process is being started"
        self._why: str | None = None
        """Why the present child is to end, where we know it."""
        self._closing = threading.Event()
        self._failed = False
        """Whether the child has died so often that there is little hope."""
        self._first: Future[Capabilities] = Future()
        self._thread = threading.Thread(target=self._supervise, name=f"alcove-isolated-{self._name}", daemon=True)
        self._thread.start()
        try:
            self.capabilities = self._first.result()
        except BaseException:
            self.close()
            raise

    @property
    def trouble(self) -> str | None:
        """Why runs cannot be taken now, in one line; None when they can."""
        return None if self._ready_at is not None else self._trouble

    @property
    def pid(self) -> int | None:
        """The present child's number."""
        return None if self._process is None else self._process.pid

    @property
    def waiting(self) -> int:
        """Requests of which no run has begun."""
        return self._runs.waiting

    @property
    def room(self) -> None:
        """Only the child knows."""

    @property
    def silent_s(self) -> float:
        """Only the child knows, and says so when it has been too long."""
        return 0.0

    def check(self, run: Run) -> None:
        """The child looks when the run is submitted: what it refuses ends with an error that says so."""

    def submit(self, runs: Sequence[Run], sink: Sink) -> None:
        """See `Engine.submit`; what the child has no room for ends with an error. Raises `ModelLoading` while there is
        no child, and `ModelUnavailable` when there may be none any more."""
        with self._lock:
            if self._closing.is_set():
                raise ShuttingDown(STOPPING)
            if self._ready_at is None or self._process is None:
                if self._failed:
                    raise ModelUnavailable(f"The model '{self._name}' has failed; the server's log says why.")
                raise ModelLoading(f"The model '{self._name}' is being started again; try again in a moment.")
            self._runs.add(runs, sink)  # before the child can answer
            self._process.send(Submit(tuple(runs)))

    def cancel(self, run_id: str) -> None:
        """See `Engine.cancel`."""
        if self._runs.forget(run_id):
            with self._lock:
                if self._process is not None:
                    self._process.send(Cancel(run_id))

    def restart(self, reason: str) -> None:
        """Kill the child, for a reason in one line; another one takes its place."""
        with self._lock:
            self._why = reason
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End all runs, and the child: its memory is the system's again."""
        with self._lock:
            self._closing.set()
            if self._process is not None:
                self._process.kill()
        self._thread.join()

    def _supervise(self) -> None:
        restarts = Restarts()
        while True:
            failure, served_s = self._live()
            lost = self._bury(str(failure))
            if self._closing.is_set():
                return
            if not self._first.done():
                self._first.set_exception(failure)
                return
            known, pause_s = self._failed, restarts.pause_s(served_s)
            self._failed = restarts.failed
            logger.error("%s; %d runs have failed; started again in %g s", failure, lost, pause_s)
            if self._failed and not known:
                self._on_death(f"{failure}, time and again")
            if self._closing.wait(pause_s):
                return

    def _live(self) -> tuple[AlcoveError, float]:
        """The life of one child: why it ended, and for how many seconds it has served."""
        failure: AlcoveError | None = None
        try:
            process = Process(self._threads)
        except OSError as error:
            return ModelLoadError(f"model '{self._name}': no process can be started: {error}"), 0.0
        with self._lock:
            self._process, self._why = process, None
            if self._closing.is_set():
                process.kill()
        process.send(self._load)
        try:
            while (message := process.link.receive()) is not None:
                if isinstance(message, Failed):
                    kind = ConfigurationError if message.kind == "configuration" else ModelLoadError
                    failure = kind(message.reason)
                else:
                    self._take(message)
        except Exception:
            logger.exception("Model '%s': its engine's process said what cannot be understood", self._name)
            process.kill()
        ended = process.ended()
        since = self._ready_at
        served_s = 0.0 if since is None else time.monotonic() - since
        why = self._why or f"model '{self._name}': its engine's process {ended}"
        return failure or ModelLoadError(why), served_s

    def _bury(self, reason: str) -> int:
        """Nobody is there any more: end all runs. Returns how many."""
        with self._lock:
            self._process = self._ready_at = None
            self._trouble = reason
        if self._closing.is_set():
            return self._runs.fail(STOPPING, Fault(kind="stopping"))
        return self._runs.fail(reason, Fault(kind="died"))

    def _take(self, message: ToParent) -> None:
        match message:
            case News(steps):
                if self._sizes is not None and steps[0].began:  # a batch's beginning is told in one piece
                    self._sizes.observe(len(steps))
                self._runs.deliver(steps)
            case Hangs(reason):
                self.restart(reason)
            case Record(name, level, text):
                logging.getLogger(name).log(level, "%s", text)
            case Ready(capabilities):
                self._ready_at = time.monotonic()
                if self._first.done():
                    logger.warning("Model '%s' is ready again", self._name)
                else:
                    self._first.set_result(capabilities)
