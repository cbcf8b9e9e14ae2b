"""What the server and an engine's process say to each other: plain data, as msgpack, never Python's pickles."""

from typing import Literal

import msgspec

from alcove.engines.base import Capabilities
from alcove.runs import Run, Step


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Anything that is said."""


class Load(Message, frozen=True):
    """To the child, first of all: the model that it is for."""

    folder: str
    """An absolute path."""
    settings: bytes
    """`ModelSettings`, as JSON."""
    source: tuple[str | None, ...]
    """`Vocabulary.source`."""
    target: tuple[str | None, ...] | None
    """`Vocabulary.target`; None where it is the same table."""
    log_level: int
    """From which level on records are sent."""


class Submit(Message, frozen=True):
    """To the child: begin these runs, all or none. Each ends by its steps, also when it is refused."""

    runs: tuple[Run, ...]


class Cancel(Message, frozen=True):
    """To the child: nobody wants more of this run."""

    run: str


class Ready(Message, frozen=True):
    """To the parent: the model is loaded."""

    capabilities: Capabilities


class Failed(Message, frozen=True):
    """To the parent: the model cannot be loaded; the child ends."""

    kind: Literal["model", "configuration"]
    """Whether it is a `ModelLoadError` or a `ConfigurationError`."""
    reason: str


class News(Message, frozen=True):
    """To the parent: steps that go out together."""

    steps: tuple[Step, ...]


class Hangs(Message, frozen=True):
    """To the parent: a batch makes no step, though others may go on."""

    reason: str
    """In one line."""


class Record(Message, frozen=True):
    """To the parent: a record for its log."""

    logger: str
    level: int
    text: str


ToChild = Load | Submit | Cancel
ToParent = Ready | Failed | News | Hangs | Record
