"""Converted models give the log-probabilities of the originals, whatever their configuration; each repair of upstream's
converter is still needed; what CTranslate2 cannot compute is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import pytest
import torch
from safetensors.torch import load_file, save_file

from alcove.errors import ModelLoadError
from alcove.store import repairs
from alcove.store.convert import convert
from alcove.store.recognise import recognise

from ..zoo import build
from ..zoo.text import PROMPTS
from .reference import Reference

SAME = 1e-3
ROPE = {"rope_theta": 10_000.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 5e5}
WINDOW = {"use_sliding_window": True, "sliding_window": 30, "layer_types": ["full_attention", "sliding_attention"]}
Make = Callable[..., tuple[Path, Path]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A model of the zoo with some keys of its configuration changed, and its conversion."""
    torch.set_num_threads(1)

    def made(name: str, **changes: Any) -> tuple[Path, Path]:
        source = build(name, tmp_path, "variant", **changes)
        convert(source, tmp_path / "converted", "float32")
        return source, tmp_path / "converted"

    return made


def furthest(source: Path, converted: Path, limit: int | None = None) -> float:
    """The greatest difference of a token's log-probability between both, over some given tokens; those of a causal
    model at most `limit` long."""
    reference = Reference(source)
    folder = recognise(converted)
    file = "shared_vocabulary.json" if folder.kind == "seq2seq" else "vocabulary.json"
    strings: list[str] = json.loads((converted / file).read_text())
    draw = torch.Generator().manual_seed(0)
    apart = []
    for prompt in PROMPTS:
        source_ids = list(reference.encode(prompt))[:30]
        target_ids = torch.randint(8, min(120, len(strings)), (20,), generator=draw).tolist()
        if folder.kind == "causal":
            ids = [*source_ids, *target_ids][:limit]
            inputs, expected = {"input_ids": torch.tensor([ids])}, ids[1:]
            library = ctranslate2.Generator(str(converted), intra_threads=1)
            (scored,) = library.score_batch([[strings[i] for i in ids]])
        else:
            start = reference.model.generation_config.decoder_start_token_id
            inputs = {
                "input_ids": torch.tensor([source_ids]),
                "decoder_input_ids": torch.tensor([[start, *target_ids[:-1]]]),
            }
            expected = target_ids
            library = ctranslate2.Translator(str(converted), intra_threads=1)
            (scored,) = library.score_batch([[strings[i] for i in source_ids]], [[strings[i] for i in target_ids]])
        with torch.inference_mode():
            logits = reference.model(**inputs).logits[0]
        if folder.model_type == "marian":
            logits = logits[:, : len(strings)]  # without <pad>, which the conversion leaves out
        wanted = logits.log_softmax(dim=-1)
        apart += [
            abs(float(wanted[i, e]) - s) for i, (e, s) in enumerate(zip(expected, scored.log_probs, strict=False))
        ]
    return max(apart)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "t5 with narrow attention": ("t5", {"num_heads": 3, "num_decoder_layers": 1, "layer_norm_epsilon": 0.05}),
    "t5 with its start among the generation defaults": ("t5", {"decoder_start_token_id": None}),
    "t5 with other buckets": ("t5", {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 16}),
    "t5-untied with narrow attention": ("t5-untied", {"num_heads": 3, "num_decoder_layers": 3}),
    "mt5 with narrow attention": ("mt5", {"num_heads": 3, "num_decoder_layers": 3}),
    "umt5 with narrow attention": ("umt5", {"num_heads": 3, "num_decoder_layers": 3}),
    "bart with a small decoder": ("bart", {"decoder_layers": 1, "decoder_ffn_dim": 40, "scale_embedding": True}),
    "marian unscaled": ("marian", {"scale_embedding": False, "activation_function": "swish"}),
    "gpt2 of its own": ("gpt2", {"n_inner": 40, "activation_function": "relu", "layer_norm_epsilon": 0.05}),
    "opt-350m": ("opt", {"word_embed_proj_dim": 16, "do_layer_norm_before": False}),
    "opt without biases": ("opt", {"enable_bias": False}),
    "llama with biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama with its own width of heads": ("llama", {"head_dim": 12}),
    "llama tied": ("llama", {"tie_word_embeddings": True, "rms_norm_eps": 0.05}),
    "llama 2 stretched": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, **ROPE}}),
    "llama 3.1": ("llama", {"rope_parameters": {**LLAMA3, "original_max_position_embeddings": 64}}),
    "mistral stretched": ("mistral", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, **ROPE}}),
    "qwen2 with its own width of heads": ("qwen2", {"head_dim": 12}),
    "qwen3 with biases": ("qwen3", {"attention_bias": True}),
    "gemma with gelu": ("gemma", {"hidden_act": "gelu", "num_key_value_heads": 4}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_converted_rightly(make: Make, variant: str) -> None:
    name, changes = VARIANTS[variant]
    assert furthest(*make(name, **changes)) < SAME


def test_the_bias_of_marians_logits_is_kept(tmp_path: Path) -> None:
    source = build("marian", tmp_path, "biased")
    weights = load_file(source / "model.safetensors")
    draw = torch.Generator().manual_seed(1)
    weights["final_logits_bias"] = torch.randn(weights["final_logits_bias"].shape, generator=draw)
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    convert(source, tmp_path / "converted", "float32")
    assert furthest(source, tmp_path / "converted") < SAME


@pytest.mark.parametrize(
    ("name", "changes"), [("mistral", {"sliding_window": 30}), ("qwen2", WINDOW), ("qwen3", WINDOW)]
)
def test_the_context_ends_at_the_attentions_window(make: Make, name: str, changes: dict[str, Any]) -> None:
    source, converted = make(name, **changes)
    assert recognise(converted).source_limit == 30
    assert furthest(source, converted, limit=30) < SAME
    assert furthest(source, converted) > SAME


def test_a_window_that_is_switched_off_limits_nothing(make: Make) -> None:
    assert recognise(make("qwen2", use_sliding_window=False, sliding_window=30)[1]).source_limit == 256


STILL_NEEDED: dict[str, tuple[str, dict[str, Any]]] = {
    "scale_of_t5": ("t5-untied", {}),
    "scale_of_mt5": ("mt5", {}),
    "place_of_norms": ("mbart50", {}),
    "start_of_mbart": ("mbart50", {}),
    "names_of_gemma": ("gemma", {}),
    "window_of_mistral": ("mistral", {"sliding_window": 10}),
    "width_of_heads": ("llama", {"head_dim": 12}),
    "positions_of_llama3": ("llama", {"rope_parameters": {**LLAMA3, "original_max_position_embeddings": 64}}),
    "missing_bos": ("mbart50", {}),
    "epsilon_of_norms": ("gpt2", {"layer_norm_epsilon": 0.05}),
    "start_of_decoder": ("t5", {"decoder_start_token_id": None}),
}


def leave_out(repair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for when in ("BEFORE", "AFTER"):
        rest = tuple(each for each in getattr(repairs, when) if each.__name__ != repair)
        monkeypatch.setattr(repairs, when, rest)


@pytest.mark.parametrize("repair", STILL_NEEDED)
def test_upstream_is_still_wrong_without(make: Make, monkeypatch: pytest.MonkeyPatch, repair: str) -> None:
    """When this fails, CTranslate2's converter has healed: remove the repair."""
    leave_out(repair, monkeypatch)
    name, changes = STILL_NEEDED[repair]
    try:
        apart = furthest(*make(name, **changes))
    except (ModelLoadError, RuntimeError, ValueError):
        return
    assert apart > SAME


@pytest.mark.parametrize("repaired", [True, False])
def test_the_unknown_token_is_in_the_vocabulary(make: Make, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    """Upstream's is not, where a tokenizer has none: then this fails when it has healed."""
    if not repaired:
        leave_out("missing_unk", monkeypatch)
    _, converted = make("qwen2")
    config, tokens = ((converted / name).read_text() for name in ("config.json", "vocabulary.json"))
    assert (json.loads(config)["unk_token"] in json.loads(tokens)) is repaired


def test_every_repair_is_looked_at() -> None:
    assert {repair.__name__ for repair in (*repairs.BEFORE, *repairs.AFTER)} == {*STILL_NEEDED, "missing_unk"}


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("bart", {"decoder_attention_heads": 2}, "its encoder and decoder have different numbers of attention heads"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "it scales its attention in a way that CTranslate2 lacks"),
        ("gpt2", {"scale_attn_weights": False}, "it scales its attention in a way that CTranslate2 lacks"),
        ("llama", {"hidden_act": "gelu"}, "its activation is gelu, where CTranslate2 has silu only"),
        ("gemma", {"hidden_act": "silu"}, "its activation is silu, where CTranslate2 has gelu only"),
        ("gemma", {"attention_bias": True}, "its attention has what CTranslate2's Gemma lacks"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, **ROPE}}, "scaled by 'dynamic'"),
        ("gemma", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, **ROPE}}, "scaled by 'linear'"),
        ("opt", {"layer_norm_elementwise_affine": False}, "Some required model attributes are not set"),
    ],
)
def test_what_ctranslate2_cannot_compute_is_refused(
    make: Make, name: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelLoadError, match=f'{reason}.*; serve it with engine = "transformers"$'):
        make(name, **changes)
