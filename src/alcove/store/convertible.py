"""Which models CTranslate2 computes as transformers does; the others are refused with the reason.

Asked by `store/convert.py` (the family, before torch is imported) and by `store/converter.py` (the configuration, as
transformers reads it). `tests/fidelity/test_conversion.py` holds both to the truth; docs/families.md is the table.
"""

from typing import Any

from alcove.errors import ModelLoadError

FAMILIES = (
    *("bart", "gemma", "gpt2", "llama", "m2m_100", "marian", "mbart", "mistral", "mt5", "opt", "pegasus"),
    *("qwen2", "qwen3", "t5", "umt5"),
)
"""The `model_type`s that are held equal to transformers by tests."""
QUANTIZATIONS = (*("int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"),)
"""The types of weights that CTranslate2 can write."""
QUANTIZATION = QUANTIZATIONS[0]
"""What is written where no type is asked for."""
REFUSED = {
    "gpt_neox": "CTranslate2's converter looks for rotary_pct, which transformers 5 no longer has",
    "phi": "CTranslate2's converter knows only the code that Phi's first folders brought along",
    "phi3": "CTranslate2's converter cannot read the rope_scaling of transformers 5",
    "gemma2": "CTranslate2's answers differ from transformers' own",
}
"""Families that CTranslate2's converter names, and what is wrong with each."""
_BART_LIKE = frozenset({"bart", "mbart", "pegasus", "marian", "m2m_100"})
_LLAMA_LIKE = frozenset({"llama", "mistral", "qwen2", "qwen3"})
_POSITIONS = {"llama": ("default", "linear", "llama3"), "gemma": ("default",)}
_USUAL_POSITIONS = ("default", "linear")


def check_quantization(quantization: str) -> None:
    """Raise `ModelLoadError` for a type that CTranslate2 does not know."""
    if quantization not in QUANTIZATIONS:
        raise ModelLoadError(f"quantization {quantization} is unknown: {', '.join(QUANTIZATIONS)}")


def why_not_family(model_type: str | None) -> str | None:
    """Why no model of this family is converted; None when it can be."""
    if model_type in FAMILIES:
        return None
    return REFUSED.get(
        str(model_type), f"{model_type} is not among the families held equal to transformers: {', '.join(FAMILIES)}"
    )


def why_not_config(config: Any) -> str | None:
    """Why CTranslate2 could not compute a model of one of `FAMILIES` with this configuration; None when it can.

    Each of these its converter passes over in silence, and makes a model of that answers otherwise.
    """
    family = config.model_type
    if getattr(config, "quantization_config", None) is not None:
        return "its weights are quantised already"
    if family in _BART_LIKE and config.encoder_attention_heads != config.decoder_attention_heads:
        return "its encoder and decoder have different numbers of attention heads"
    if family == "marian" and not config.share_encoder_decoder_embeddings:
        return "its source and target vocabularies differ"
    if family == "gpt2" and (config.scale_attn_by_inverse_layer_idx or not config.scale_attn_weights):
        return "it scales its attention in a way that CTranslate2 lacks"
    if family in _LLAMA_LIKE and config.hidden_act not in ("silu", "swish"):
        return f"its activation is {config.hidden_act}, where CTranslate2 has silu only"
    if family == "gemma" and config.hidden_act not in ("gelu", "gelu_pytorch_tanh"):
        return f"its activation is {config.hidden_act}, where CTranslate2 has gelu only"
    if family == "gemma" and (config.attention_bias or config.use_bidirectional_attention):
        return "its attention has what CTranslate2's Gemma lacks: biases, or sight of later tokens"
    return _why_not_positions(config)


def _why_not_positions(config: Any) -> str | None:
    rope = getattr(config, "rope_parameters", None) or {}
    kind = rope.get("rope_type", "default")
    if kind not in _POSITIONS.get(config.model_type, _USUAL_POSITIONS):
        return f"its positions are scaled by '{kind}', which CTranslate2 cannot do for {config.model_type}"
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        return "its positions turn a part of each head only"
    return None
