"""What each engine takes, as data, without opening a model or importing what runs it: for `alcove check`.

`tests/unit/engines/test_offered.py` holds the names to what the engines themselves take.
"""

from collections.abc import Mapping

from alcove.engines.base import Capabilities
from alcove.engines.echo import EchoEngine, EchoOptions
from alcove.store.folder import Kind

DEVICES = r"auto|cpu|map|cuda(:\d+)?"
"""What `device` may be, as a pattern."""
COMPUTE_TYPES: Mapping[str, frozenset[str]] = {
    "ctranslate2": frozenset(
        {"auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float32", "float16", "bfloat16"}
    ),
    "transformers": frozenset({"auto", "float32", "float16", "bfloat16", "int8"}),
}
"""What `compute_type` may be; which of them a machine has is found out when a model is loaded."""
PACKAGES: Mapping[str, tuple[str, ...]] = {"transformers": ("torch", "transformers")}
"""What an engine needs beyond the base install: the extra of the engine's name has it."""

_DECODE = frozenset({"skip_special_tokens", "clean_up_tokenization_spaces"})
ENGINE_OPTIONS: Mapping[str, Mapping[str, frozenset[str] | None]] = {
    "ctranslate2": {"mixed_lengths": None, "tokenizer": None, "decode": _DECODE, "model": None},
    "transformers": {
        "tokenizer": None,
        "decode": _DECODE,
        "continuous_batching": frozenset({"cache_tokens", "max_batch_tokens"}),
        "model": frozenset(
            {
                *("attn_implementation", "max_memory", "offload_buffers", "offload_folder", "subfolder", "variant"),
                *("device_map", "dtype", "load_in_8bit", "torch_dtype", "trust_remote_code", "use_safetensors"),
                *(
                    "cache_dir",
                    "force_download",
                    "local_files_only",
                    "low_cpu_mem_usage",
                    "proxies",
                    "revision",
                    "token",
                ),
            }
        ),
    },
    "echo": dict.fromkeys(EchoOptions.__dataclass_fields__),
}
"""The keys of `engine_options`, and those of the tables among them. A tokenizer's are checked by who reads them."""


def capabilities(engine: str, kind: Kind) -> Capabilities:
    """What an engine honours for models of a kind."""
    match engine:
        case "ctranslate2":
            from alcove.engines.ctranslate2.honoured import IMPOSSIBLE, honoured

            return Capabilities(engine=engine, options=honoured(kind), impossible=IMPOSSIBLE)
        case "transformers":
            from alcove.engines.transformers.options import honoured as honoured_by_transformers

            return Capabilities(engine=engine, options=honoured_by_transformers(kind))
        case _:
            return EchoEngine.capabilities
