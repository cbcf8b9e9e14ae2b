"""What was asked for: one frozen type, made once by `config/load.py` and passed in.

The docstring under a field is its documentation, here and wherever the configuration is explained to a person.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, ByteSize, ConfigDict, Field

EngineName = Literal["auto", "ctranslate2", "transformers", "echo"]
TaskName = Literal["auto", "seq2seq", "causal"]
_Name = Annotated[str, Field(min_length=1)]
_WebOrigin = Annotated[str, Field(pattern=r"^(\*|null|[a-z][a-z0-9+.-]*://[^/?#\sA-Z]*)$")]
_HostName = Annotated[str, Field(pattern=r"^(\*|(\*\.)?[\w-]+(\.[\w-]+)*|\[[^\]/\s]+\])$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class ServerSettings(_Frozen):
    """Where the server listens and how it behaves towards its clients."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    docs: bool | None = None
    """Whether `/docs` and `/openapi.json` are served, to anyone; left out, they are where there are no keys."""
    json_metrics: bool = True
    """Whether `/v1/metrics` answers (Prometheus' `/metrics` always does)."""
    cors_origins: tuple[_WebOrigin, ...] = ()
    """Web origins whose pages may call the server from a browser, like `https://chat.example`; `*` is any."""
    allowed_hosts: tuple[_HostName, ...] = ()
    """Names under which the server answers: the `Host` header without its port; `*.example` is all names below it, `*`
    any. On a loopback address those of this machine are among them and others are refused; elsewhere all are answered
    unless some are named here."""
    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    """Largest request body."""
    max_connections: int | None = Field(default=None, ge=1)
    """Connections at the same time; a further one is answered 503 at once. Left out, 64 fewer than the files that the
    process may open."""
    header_timeout_s: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """How long a client may take to send the head of a request."""
    body_timeout_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """How long it may take to send the body, and a second more for each 4 KiB of it that have come."""
    send_timeout_s: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """How long it may take nothing of an answer that waits for it, before it is cut off."""
    keep_alive_timeout_s: int = Field(default=75, ge=1)
    """How long a connection is kept for a next request; longer than the proxy in front keeps it."""
    drain_timeout_s: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    """How long running requests may take to end when the server is told to stop."""
    memory_limit: ByteSize | None = None
    """Most memory of the process, in bytes or as "6GiB": before another model is loaded, those that have been idle
    longest are unloaded. Left out, four fifths of what the machine, or the container, has."""
    load_timeout_s: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """How long a request waits for its model to be loaded, before it is refused with 503."""
    on_engine_death: Literal["keep", "exit"] = "keep"
    """What happens when a model's engine hangs, or its process crashes again and again: `keep` serves on, not ready;
    `exit` ends the server with code 70, for a supervisor to start it again."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """Lines for people or JSON for machines; `auto` is text at a terminal and JSON elsewhere."""
    otel_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/]")
    """OpenTelemetry collector that is sent traces (OTLP over HTTP), like `http://127.0.0.1:4318`: `/v1/traces` is added
    where there is no path. Needs the extra `otel`. Left out, what `OTEL_EXPORTER_OTLP_ENDPOINT` or
    `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` says."""


class Key(_Frozen):
    """An accepted bearer token, of which only the digest is kept."""

    name: str
    """Whose it is, for the log and for limits: as configured, else `key-N`."""
    digest: str = Field(repr=False, pattern="^[0-9a-f]{64}$")
    """SHA-256 of the token, as hexadecimal digits."""


class AuthSettings(_Frozen):
    """Who may use the server, and how much of it."""

    keys: tuple[Key, ...] = Field(default=(), repr=False)
    """Accepted keys, gathered by `config/access.py`; never written into an `alcove.toml`."""
    keys_env: str = "ALCOVE_API_KEYS"
    """Environment variable that holds the keys, separated by commas."""
    keys_file: str | None = None
    """File that holds the keys, one a line: a key, `sha256:` and its digest, or `NAME = ` and either."""
    admin_keys: tuple[Key, ...] = Field(default=(), repr=False)
    """Keys that open `/admin`, and nothing else; gathered as the others are."""
    admin_keys_env: str = "ALCOVE_ADMIN_KEYS"
    """Environment variable that holds the keys for `/admin`; without any there is no `/admin`."""
    admin_keys_file: str | None = None
    """File that holds the keys for `/admin`, in the same form."""
    key_concurrency: int | None = Field(default=None, ge=1)
    """Requests of one key at the same time; a further one is refused with 429. Left out, any number. Without keys all
    clients are one, here and below."""
    key_requests_per_minute: int | None = Field(default=None, ge=1)
    """POST requests of one key in any 60 seconds; left out, any number."""
    key_tokens_per_minute: int | None = Field(default=None, ge=1)
    """Tokens of prompts and answers of one key in any 60 seconds, after which no further request is begun; left out,
    any number."""
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

    name: _Name
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
    aliases: tuple[_Name, ...] = ()
    """Further public names."""
    default: bool = False
    """Whether requests without a `model` go here; with one model served, they do anyway."""
    load: Literal["start", "first_use"] = "start"
    """When the model is loaded: before the server answers, or when the first request asks for it."""
    ttl_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds after its last request that the model is unloaded; the next one loads it again. Left out, it stays."""
    workers: int | None = Field(default=None, ge=1)
    """Batches that run at the same time; left out, chosen by machine and engine."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of one worker; left out, chosen by machine and engine."""
    max_queue: int = Field(default=64, ge=0)
    """Requests that may wait; more are refused with 503."""
    queue_timeout_s: float = Field(default=300.0, ge=0, allow_inf_nan=False)
    """Seconds that a request may wait until work on it begins; then it is answered with 504. 0 is no limit, here and
    below."""
    first_token_timeout_s: float = Field(default=600.0, ge=0, allow_inf_nan=False)
    """Seconds until the first token of its answer, the waiting counted; the outputs of a beam search arrive whole, at
    its end."""
    request_timeout_s: float = Field(default=3600.0, ge=0, allow_inf_nan=False)
    """Seconds until the end of its answer; a stream that has begun ends with an error event."""
    stall_timeout_s: float = Field(default=900.0, ge=0, allow_inf_nan=False)
    """Seconds in which requests wait and the engine makes no step for any of them, after which it counts as hung: the
    server is not ready any more, and `isolation` and `server.on_engine_death` say what happens then. Of batches that
    run at the same time this holds for each. To be longer than the longest beam search, which makes no step before its
    end."""
    isolation: Literal["none", "process"] = "none"
    """`process` runs the engine in a process of its own, which is started again when it crashes or hangs; requests that
    it had fail. Its memory is given back whole when the model is unloaded, and it has a budget of cores of its own: set
    `workers` and `threads` where several models are busy at once."""
    max_batch_size: int = Field(default=32, ge=1)
    """Runs in one batch."""
    max_batch_tokens: int = Field(default=16_384, ge=1)
    """Prompt tokens in one batch, padding counted."""
    max_prompt_tokens: int | None = Field(default=None, ge=1)
    """Longest prompt (source of an encoder-decoder); left out, the model's own limit, or 2,048 where it has none, as
    T5."""
    max_output_tokens: int | None = Field(default=None, ge=1)
    """Longest answer; left out, the model's own limit, or 2,048 where it has none."""
    max_request_tokens: int = Field(default=1_048_576, ge=1)
    """Most tokens that one request may ask for: prompts x choices or beams x `max_tokens`, with each log-probability
    counted as a token, and 64 for a shorter answer."""
    prompt: PromptSettings = PromptSettings()
    generation: dict[str, Any] = {}
    """Generation options of this model, in the names of Hugging Face's `GenerationConfig`; requests override them."""
    engine_options: dict[str, Any] = {}
    """Passed to tokenizer and engine: `tokenizer` and, for transformers, `model` (keyword arguments of their
    `from_pretrained`), `decode` (of the tokenizer's `decode`) and, for decoder-only models on transformers,
    `continuous_batching`: true, or a table of `cache_tokens` (tokens of prompts and answers whose keys and values are
    kept; left out, room for `max_batch_size` runs of 1,024 tokens, at most 5 % of memory, taken at the start) and
    `max_batch_tokens` (new tokens of a step, 256). Requests then join and leave between two tokens, and equal
    beginnings of prompts are read once. For decoder-only models on ctranslate2 `mixed_lengths`: whether prompts of
    different lengths share a batch; left out, where weights are not quantized. With int8 it makes more than twice the
    tokens under load, and an answer may depend on its company where two tokens are about equally probable."""


class Settings(_Frozen):
    """Everything alcove is asked to do."""

    home: Path = Field(default_factory=lambda: user_data_path("alcove", appauthor=False))
    """Where pulled models are kept, in `models/`; set by `ALCOVE_HOME` alone, so that `pull` and `serve` agree."""
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    models: tuple[ModelSettings, ...] = ()
