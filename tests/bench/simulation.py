"""Closed batches, simulated: how soon first tokens could come if nothing but the engine took time.

Requests arrive at given times and wait in one line. A worker that is free takes what waits, oldest first: at most its
share of all that wait and run, and at most `most`; so a lone request begins at once. A batch is encoded, then makes a
step at a time, of which each row gets a token; a row leaves at its own limit, none joins. The next batch begins when
the last row has left. What a step takes depends on the rows that are left and on how many workers are busy.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil


@dataclass(frozen=True)
class Service:
    """Measured seconds: `[rows, busy workers, encoding, step]` a line."""

    lines: Sequence[Sequence[float]]

    def encoding(self, rows: int, busy: int) -> float:
        return self._between(rows, busy, 2)

    def step(self, rows: int, busy: int) -> float:
        return self._between(rows, busy, 3)

    def _between(self, rows: int, busy: int, column: int) -> float:
        """Measured for the nearest numbers, and in proportion for those between."""
        by_busy = {}
        for measured in sorted({int(line[1]) for line in self.lines}):
            by_rows = {int(line[0]): line[column] for line in self.lines if line[1] == measured}
            by_busy[measured] = _interpolated(by_rows, rows)
        return _interpolated(by_busy, busy)


def _interpolated(points: dict[int, float], at: int) -> float:
    below = max((point for point in points if point <= at), default=min(points))
    above = min((point for point in points if point >= at), default=max(points))
    part = (at - below) / (above - below) if above > below else 0.0
    return points[below] + (points[above] - points[below]) * part


def first_tokens(
    arrivals: Sequence[float], limits: Sequence[int], service: Service, *, workers: int, most: int = 32
) -> list[float]:
    """Seconds from each arrival to its first token; `limits` are the tokens that each request wants."""
    first = [0.0] * len(arrivals)
    waiting: deque[int] = deque()
    running: list[list[int]] = []
    order = count()
    events: list[tuple[float, int, list[int], int]] = [(time, next(order), [], n) for n, time in enumerate(arrivals)]
    heapify(events)
    while events:
        now, _, batch, number = heappop(events)
        if not batch:
            waiting.append(number)
        else:  # it has made step `number`
            if number == 1:
                for row in batch:
                    first[row] = now - arrivals[row]
            batch[:] = [row for row in batch if limits[row] > number]
            if batch:
                heappush(events, (now + service.step(len(batch), len(running)), next(order), batch, number + 1))
            else:
                running = [other for other in running if other]
        while waiting and len(running) < workers:
            share = ceil((len(waiting) + sum(map(len, running))) / workers)
            batch = [waiting.popleft() for _ in range(min(share, most, len(waiting)))]
            running.append(batch)
            takes = service.encoding(len(batch), len(running)) + service.step(len(batch), len(running))
            heappush(events, (now + takes, next(order), batch, 1))
    return first
