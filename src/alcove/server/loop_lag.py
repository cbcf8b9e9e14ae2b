"""How late the event loop is: a task that sleeps, and counts by how much it wakes too late. Started by `app.py`."""

import asyncio

from alcove.metrics.series import Histogram

INTERVAL_S = 0.25


async def measure(lag: Histogram) -> None:
    """Measure until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        lag.observe(max(loop.time() - due, 0.0))
