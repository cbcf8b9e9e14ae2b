"""What a model folder holds, found out once by `store/recognise.py` and read by engines and pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from alcove.runs import Options

Kind = Literal["seq2seq", "causal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDefaults:
    """The model's own wishes, from its generation_config.json (for older models, from its config.json)."""

    options: Options = field(default_factory=Options)
    """Options that the file sets; sampling ones only when it also says `do_sample`."""
    max_new_tokens: int | None = None
    """The file's limit of new tokens (from `max_new_tokens`)."""
    max_length: int | None = None
    """The file's limit of the whole sequence (`max_length`): for a causal model the prompt counts, for an
    encoder-decoder the start token does."""
    eos: tuple[int, ...] = ()
    """Ids that end an output."""
    decoder_start: int | None = None
    """The id that the decoder starts from (encoder-decoder)."""
    forced_bos: int | None = None
    """The id every output must begin with, e.g. a target language."""
    forced_eos: int | None = None
    """The id that stands at the end when the limit is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A model on disk that can be served."""

    path: Path
    """The folder."""
    layout: Literal["ctranslate2", "transformers", "echo"]
    """Whose files these are; the engine of the same name reads them."""
    kind: Kind
    """Encoder-decoder or decoder-only."""
    model_type: str | None = None
    """The family's name in transformers (`t5`, `bart`, `m2m_100`, `llama`), where the folder tells."""
    source_limit: int | None = None
    """Most tokens the encoder (or, for a causal model, the whole sequence) has positions for; None: no such bound."""
    target_limit: int | None = None
    """Most positions of an encoder-decoder's decoder, its start token counted; None: no such bound."""
    generation: GenerationDefaults = field(default_factory=GenerationDefaults)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The folder's config.json."""
