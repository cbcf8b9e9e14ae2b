"""What was asked for: one frozen type, made once by `config/load.py` and passed in.

The docstring under a field is its documentation, here and wherever the configuration is explained to a person.
"""

from os.path import expanduser
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EngineName = Literal["auto", "ctranslate2", "transformers", "echo"]
TaskName = Literal["auto", "seq2seq", "causal"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class ServerSettings(_Frozen):
    """Where the server listens and how it behaves towards its clients."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    docs: bool = True
    """Whether `/docs` and `/openapi.json` are served."""
    json_metrics: bool = True
    """Whether `/v1/metrics` answers (Prometheus' `/metrics` always does)."""
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call the server from a browser."""
    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    """Largest request body."""
    drain_timeout_s: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    """How long running requests may take to end when the server is told to stop."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged."""


class AuthSettings(_Frozen):
    """Who may use the server."""

    keys: tuple[str, ...] = Field(default=(), repr=False)
    """Accepted bearer tokens, gathered by `config/load.py`; never written into an `alcove.toml`."""
    keys_env: str = "ALCOVE_API_KEYS"
    """Environment variable that holds the keys, separated by commas."""
    keys_file: str | None = None
    """File that holds the keys, one a line."""
    insecure_no_auth: bool = False
    """Answer everyone, on any address, without keys."""
    loopback_only: bool = False
    """Answer only clients on this machine: so it is without keys where the address to listen on is unknown."""


class PromptSettings(_Frozen):
    """How messages become a prompt."""

    chat_template: str | None = None
    """A Jinja chat template, or the path of a file that holds one; in place of the model's own."""
    system: str | None = Field(default=None, min_length=1)
    """System message of all chats that have none of their own. Engines that can keep what they have made of it, so that
    it is read once (CTranslate2 and transformers' continuous batching, for causal models)."""
    profile: Literal["languagemodels"] | None = None
    """A named set of prompt and text rules: `languagemodels` is that of ctranslate2-fastapi."""
    format: str | None = Field(default=None, pattern=r"\{instruction\}")
    """Text with `{instruction}`, which a prompt replaces; left out, the prompt is sent as it is."""


class ModelSettings(_Frozen):
    """One model to serve."""

    name: str = Field(min_length=1)
    """Public name, as clients write it in `model`; may contain `/`."""
    source: str = Field(min_length=1)
    """A folder, a pulled name (`org/model`), or `builtin:NAME`."""
    revision: str | None = None
    """Branch, tag or commit of a pulled name."""
    engine: EngineName = "auto"
    """Which engine runs it; `auto` looks at the folder."""
    task: TaskName = "auto"
    """What kind of model it is; `auto` looks at the folder."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N`; `map` leaves the placing to accelerate's `device_map`."""
    strict_device: bool = False
    """Whether a missing device is an error; else the CPU serves, and the log says so."""
    compute_type: str = "auto"
    """Precision of the weights in memory: `auto`, `int8`, `int8_float32`, `float16`, `bfloat16`, `float32`..."""
    aliases: tuple[str, ...] = ()
    """Further public names."""
    default: bool = False
    """Whether requests without a `model` go here; with one model served, they do anyway."""
    workers: int | None = Field(default=None, ge=1)
    """Batches that run at the same time; left out, chosen by machine and engine."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of one worker; left out, chosen by machine and engine."""
    max_queue: int = Field(default=64, ge=0)
    """Requests that may wait; more are refused with 503."""
    max_batch_size: int = Field(default=32, ge=1)
    """Runs in one batch."""
    max_batch_tokens: int = Field(default=16_384, ge=1)
    """Prompt tokens in one batch, padding counted."""
    max_prompt_tokens: int | None = Field(default=None, ge=1)
    """Longest prompt (source of an encoder-decoder); left out, the model's own limit."""
    max_output_tokens: int | None = Field(default=None, ge=1)
    """Longest answer; left out, the model's own limit."""
    max_request_tokens: int = Field(default=1_048_576, ge=1)
    """Most tokens that one request may ask for: prompts x choices or beams x `max_tokens`, with each log-probability
    counted as a token, and 64 for a shorter answer."""
    prompt: PromptSettings = PromptSettings()
    generation: dict[str, Any] = {}
    """Generation options of this model, in the names of Hugging Face's `GenerationConfig`; requests override them."""
    engine_options: dict[str, Any] = {}
    """Passed to the engine: for transformers `model` and `tokenizer` (keyword arguments of `from_pretrained`), `decode`
    (of the tokenizer's `decode`) and, for decoder-only models, `continuous_batching`: true, or a table of
    `cache_tokens` (tokens of prompts and answers whose keys and values are kept; left out, room for `max_batch_size`
    runs of 1,024 tokens, at most 5 % of memory, taken at the start) and `max_batch_tokens` (new tokens of a step, 256).
    Requests then join and leave between two tokens, and equal beginnings of prompts are read once. For decoder-only
    models on ctranslate2 `mixed_lengths`: whether prompts of different lengths share a batch; left out, where weights
    are not quantized. With int8 it makes about three times the tokens under load, and an answer may depend on its
    company where two tokens are about equally probable."""


class Settings(_Frozen):
    """Everything alcove is asked to do."""

    home: Path = Field(default_factory=lambda: Path(expanduser("~/.local/share/alcove")))
    """Where pulled models are kept, in `models/`; set by `ALCOVE_HOME` alone, so that `pull` and `serve` agree."""
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    models: tuple[ModelSettings, ...] = ()
