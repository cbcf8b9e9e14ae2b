"""JSON files of a model folder, read with errors that name the file."""

import json
from pathlib import Path
from typing import Any

from alcove.errors import ModelLoadError


def read_json(path: Path) -> Any:
    """The content of the JSON file `path`. Raises `ModelLoadError` when it cannot be read or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModelLoadError(f"{path} is not valid JSON ({error}): download it again or correct it") from None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in the file `path`; `ModelLoadError` when it holds something else."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path} must hold a JSON object, not a {type(content).__name__}: download it again")
    return content
