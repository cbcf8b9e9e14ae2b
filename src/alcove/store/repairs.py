"""What CTranslate2's converter gets wrong with transformers 5, put right around it: a function a fault.

Called by `store/converter.py`: `BEFORE` change what the upstream loaders ask the model, `AFTER` what they have made.
`tests/fidelity/test_conversion.py` takes each one out in turn, and fails when nothing is wrong without it any more.
"""

from collections.abc import Callable, Set
from typing import Any

import numpy

BART_SHAPES = {
    # model_type: (normalize_before, normalize_embedding), as transformers' code has them built in
    "bart": (False, True),
    "mbart": (True, True),
    "pegasus": (True, False),
}


def scale_of_t5(model: Any) -> None:
    """`T5Loader` takes `tie_word_embeddings` for "scale the output"; transformers 5 sets it to True always, and keeps
    what the file says in `scale_decoder_outputs`."""
    if model.config.model_type == "t5":
        model.config.tie_word_embeddings = model.config.scale_decoder_outputs


def scale_of_mt5(model: Any) -> None:
    """The same, but transformers' mT5 never scales."""
    if model.config.model_type == "mt5":
        model.config.tie_word_embeddings = False


def place_of_norms(model: Any) -> None:
    """`BartLoader` reads it from the configuration, where transformers 5 no longer has it."""
    if model.config.model_type in BART_SHAPES:
        model.config.normalize_before, model.config.normalize_embedding = BART_SHAPES[model.config.model_type]


def start_of_decoder(model: Any) -> None:
    """`BartLoader` and `T5Loader` look in config.json only; some folders have it in generation_config.json."""
    config = model.config
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = model.generation_config.decoder_start_token_id


def start_of_mbart(model: Any) -> None:
    """`MBartLoader` tells mBART-25, which starts from the language, from mBART-50, which starts from the end of
    sequence, by the tokenizer's name in config.json, where transformers 5 does not write it."""
    config = model.config
    if config.model_type == "mbart":
        starts_from_end = config.decoder_start_token_id == config.eos_token_id
        config.tokenizer_class = "MBart50Tokenizer" if starts_from_end else "MBartTokenizer"


def names_of_gemma(model: Any) -> None:
    """`GemmaLoader` looks for `rope_theta` and `hidden_activation`, which are called otherwise in transformers 5, and
    takes usual values for them."""
    config = model.config
    if config.model_type == "gemma":
        config.rope_theta = config.rope_parameters["rope_theta"]
        config.hidden_activation = config.hidden_act


def window_of_mistral(model: Any) -> None:
    """CTranslate2 fails on what is longer than the window; alcove ends the context there (`context_of`), where a
    window changes nothing."""
    if model.config.model_type == "mistral":
        model.config.sliding_window = None


def width_of_heads(spec: Any, config: Any, tokens: Set[str]) -> None:
    """`LlamaLoader` and `Qwen2Loader` take it for hidden_size / num_attention_heads."""
    if config.model_type in ("llama", "qwen2") and (width := getattr(config, "head_dim", None)):
        for layer in spec.decoder.layer:
            _add(layer.self_attention, "head_dim", numpy.int32(width))


def positions_of_llama3(spec: Any, config: Any, tokens: Set[str]) -> None:
    """`LlamaLoader` leaves out two of the four numbers of Llama 3.1's scaling: nothing is scaled then."""
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "llama3":
        for layer in spec.decoder.layer:
            _add(layer.self_attention, "rotary_scaling_factor", numpy.float32(rope["factor"]))
            original = numpy.int32(rope["original_max_position_embeddings"])
            _add(layer.self_attention, "original_max_position_embeddings", original)


def missing_bos(spec: Any, config: Any, tokens: Set[str]) -> None:
    """A null in config.json makes a model that does not load. alcove sends no prompt without its special tokens, so
    the token is never used."""
    if spec.config.bos_token is None:
        spec.config.bos_token = spec.config.eos_token


def missing_unk(spec: Any, config: Any, tokens: Set[str]) -> None:
    """A token that the vocabulary lacks makes one that is too long. alcove sends no unknown token."""
    if spec.config.unk_token not in tokens:
        spec.config.unk_token = spec.config.eos_token


def epsilon_of_norms(spec: Any, config: Any, tokens: Set[str]) -> None:
    """Few loaders pass it on; null means the layer's usual value."""
    if spec.config.layer_norm_epsilon is None:
        spec.config.layer_norm_epsilon = getattr(config, "layer_norm_epsilon", None)


BEFORE: tuple[Callable[[Any], None], ...] = (
    *(scale_of_t5, scale_of_mt5, place_of_norms, start_of_decoder, start_of_mbart, names_of_gemma),
    window_of_mistral,
)
"""Take the loaded model."""
AFTER: tuple[Callable[[Any, Any, Set[str]], None], ...] = (
    *(width_of_heads, positions_of_llama3, missing_bos, missing_unk, epsilon_of_norms),
)
"""Take the specification that upstream has made, the model's configuration and the tokens of its vocabulary."""


def context_of(config: Any) -> int | None:
    """How many positions a causal model has in CTranslate2, whose rotary ones leave no trace in the weights; no more
    than its attention's window."""
    positions: int | None = getattr(config, "max_position_embeddings", None)
    window: int | None = getattr(config, "sliding_window", None)
    if not getattr(config, "use_sliding_window", True):  # Qwen's switch
        window = None
    return min((number for number in (positions, window) if number is not None), default=None)


def _add(spec: Any, name: str, value: Any) -> None:
    """Give a specification an attribute that it does not declare: its `__setattr__` would refuse."""
    vars(spec)[name] = value
