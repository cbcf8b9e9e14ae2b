"""Writes what is made of the settings' own docstrings: `python -m tools.configuration_page`.

These are docs/configuration.md and the JSON schema that is shipped. Tests hold both to what this makes.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from alcove.config.schema import FILE, text
from alcove.config.settings import AuthSettings, ModelSettings, PromptSettings, ServerSettings, Settings

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

HEAD = """\
# Configuration

Written by `python -m tools.configuration_page` from the docstrings in `src/alcove/config/settings.py`.

`alcove serve [WHAT]` takes a configuration file, a model folder or a pulled name. Without WHAT it takes
`LLM_ARTIFACT_DIR`, else `alcove.toml` or a `config.json` with `MODELS` in the working directory, else the built-in
models. Values come from the defaults, then the file, then the environment, then flags; `alcove check [WHAT]` prints
every value and its origin, or all that is wrong, a line each with the nearest right name
([models.md](models.md#serving-several-models)). `alcove init` writes an `alcove.toml` for the models in the store, with
all of the settings below as comments.

Editors complete and check the file by its JSON schema: write it beside the file with
`alcove schema > alcove.schema.json`, and begin the file with the line `#:schema ./alcove.schema.json`. Taplo and Even
Better TOML understand it; the schema is made from the same source as this page.

In the environment a setting is `ALCOVE_` and its name in capitals: `ALCOVE_PORT=9000`, `ALCOVE_DEVICE=cuda`. Lists are
separated by commas, and an empty variable counts as none. A model's setting then holds for every model served; `name`,
`source`, `revision`, `aliases`, `default`, `prompt`, `generation` and `engine_options` are each model's own and have no
variable. Flags are those that `alcove serve --help` lists.

| Variable that is no setting | What it says |
|---|---|
| `ALCOVE_API_KEYS`, `ALCOVE_ADMIN_KEYS` | the keys, separated by commas ([access.md](access.md#keys)) |
| `ALCOVE_CONFIG` | WHAT, where the command line does not say it |
| `ALCOVE_HOME` | where pulled models are kept (`$XDG_DATA_HOME/alcove`, else `~/.local/share/alcove`) |
| `HF_HUB_OFFLINE`, `HF_TOKEN`, `HF_ENDPOINT` | whether a Hub is asked, as who, and which ([models.md](models.md)) |
| `OTEL_...` | OpenTelemetry's own ([observability.md](observability.md#traces)) |
| `LLM_ARTIFACT_DIR`, `LOGGING_LEVEL` | those of ctranslate2-fastapi: its folder, and the level of the log |

In `alcove.toml` the paths of files of keys and chat templates are relative to the file, and so is a `source` that
begins with `.` or `~` or is the name of a folder there; any other `source` is the name of a pulled model. What a flag
or variable names is relative to the working directory.
"""

TABLES: list[tuple[str, type[BaseModel]]] = [
    ("[server]", ServerSettings),
    ("[auth]", AuthSettings),
    ("[[model]]", ModelSettings),
    ("[model.prompt]", PromptSettings),
]
HIDDEN = {"keys", "admin_keys", "loopback_only", "prompt"}
"""Fields that no file sets, or that have a table of their own."""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, settings in TABLES:
        parts += [
            "",
            f"## `{title}`",
            "",
            (settings.__doc__ or "").strip(),
            "",
            "| Key | Default | Meaning |",
            "|---|---|---|",
        ]
        for name, field in settings.model_fields.items():
            if name not in HIDDEN:
                meaning = " ".join((field.description or "").split()).replace("|", "\\|")
                parts.append(f"| `{name}` | {_default(field.default)} | {meaning} |")
    return "\n".join(parts) + "\n"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "needed"
    if value is None or value in ((), {}):
        return "-"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    assert set(Settings.model_fields) == {"home", "server", "auth", "models"}
    PAGE.write_text(page())
    FILE.write_text(text())
