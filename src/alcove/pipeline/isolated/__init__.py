"""An engine in a process of its own, which may die without harm to the others: `isolation = "process"`.

`open_isolated` gives `pipeline/model.py` an `Engine` like any other. messages.py says what crosses the border, link.py
how; engine.py is the parent's side, child.py the child's, process.py and restarts.py its birth and death.
"""

from alcove.pipeline.isolated.engine import IsolatedEngine, open_isolated

__all__ = ["IsolatedEngine", "open_isolated"]
