"""Figures that several promises have -> rows of the table."""

from tests.bench.figures import Row, at_most, seconds
from tests.soak.setting import Setting
from tests.soak.tally import Tally
from tests.soak.watched import Held


def endings(tally: Tally, whose: str = "") -> list[Row]:
    """Every request ended once, with its own text or with an error as it should be; `whose` says which, of several."""
    return [
        Row(
            what=f"wrong or foreign texts{whose}",
            value=len(tally.wrong),
            shown=_of(len(tally.wrong), tally),
            bar=at_most(0),
        ),
        Row(
            what=f"requests that ended as none may{whose}",
            value=len(tally.unshaped),
            shown=_of(len(tally.unshaped), tally),
            bar=at_most(0),
            beside=(str(tally),),
        ),
    ]


def held(before: Held, after: Held) -> list[Row]:
    """Nothing was kept."""
    pairs = {"files": (before.files, after.files), "tasks": (before.tasks, after.tasks)}
    return [
        Row(
            what=f"{what} kept",
            value=max(now - then, 0),
            shown=f"{now - then:+d}",
            bar=at_most(0),
            beside=(f"{then}, then {now}",),
        )
        for what, (then, now) in pairs.items()
    ]


def time(setting: Setting, what: str, value: float, limit_s: float, beside: str = "") -> Row:
    """A time and how long it may be."""
    return Row(what=what, value=value, shown=seconds(value), bar=setting.at_most_s(limit_s), beside=(beside,))


def _of(count: int, tally: Tally) -> str:
    return f"{count} of {tally.requests:,}"
