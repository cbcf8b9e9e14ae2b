"""A watcher that says nothing."""

from collections.abc import Callable

from alcove.bench.measured import Level


class Quiet:
    def begins(self, what: str, requests: int) -> Callable[[], None]:
        return lambda: None

    def ended(self, what: str, level: Level) -> None:
        pass

    def says(self, line: str) -> None:
        pass
