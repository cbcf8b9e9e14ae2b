"""record.json of a built-in model: how it was trained and what was measured.

In: facts from training and measurement. Out: one JSON file beside the weights, from which the model card is written.
"""

import json
from pathlib import Path
from typing import Any

_NAME = "record.json"


def read_record(folder: Path) -> dict[str, Any]:
    """Read what is known of the model in that folder; empty before training."""
    path = folder / _NAME
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return record


def update_record(folder: Path, **facts: object) -> None:
    """Add facts, or replace those of the same name."""
    text = json.dumps(read_record(folder) | facts, indent=2)
    (folder / _NAME).write_text(text + "\n")
