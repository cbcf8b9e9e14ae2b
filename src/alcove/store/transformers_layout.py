"""A folder in transformers' layout: config.json and safetensors. `read_folder` is called by `store/recognise.py`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alcove.errors import ModelLoadError
from alcove.store.folder import Kind, ModelFolder
from alcove.store.generation import read_generation
from alcove.store.jsonfile import read_object
from alcove.store.repository import INDEX, PICKLES, is_shard_name, shard_names
from alcove.store.safetensors_header import read_header

POSITIONS = ("max_position_embeddings", "n_positions", "max_target_positions", "seq_length", "n_ctx")
"""Names of the number of positions, as the families have them."""
SIDED_POSITIONS = ("max_encoder_position_embeddings", "max_decoder_position_embeddings")
"""LED and its kin have a number for each side."""
UNBOUNDED = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers", "bloom", "mpt"})
"""Families with relative or computed positions, whose config.json names the length of training only."""
NO_TEXT = ("MaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "EncoderModel")
"""Ends of the names of architectures that make no text."""
OTHER_INPUTS = frozenset({"vision_config", "audio_config", "num_mel_bins", "patch_size"})
"""Keys of config.json that only models of images and sounds have."""


def read_folder(path: Path) -> ModelFolder:
    """What the transformers model in `path` is. Raises `ModelLoadError`."""
    config = read_object(path / "config.json")
    kind = kind_of(path, config)
    _check_weights(path)
    source, target = _limits(config, kind)
    return ModelFolder(
        path=path,
        layout="transformers",
        kind=kind,
        model_type=config["model_type"],
        source_limit=source,
        target_limit=target,
        generation=read_generation(path, config, kind),
        config=config,
    )


def has_pickle(path: Path) -> bool:
    """Whether `path` holds weights as Python pickles."""
    return any(next(path.glob(pattern), None) for pattern in PICKLES)


def kind_of(path: Path, config: Mapping[str, Any]) -> Kind:
    """What the `config` of the folder `path` is a model of. Raises `ModelLoadError` when it is none that makes text of
    text."""
    if not isinstance(config.get("model_type"), str):
        raise ModelLoadError(
            f"{path / 'config.json'} has no model_type: it is no model's, or of a model.bin now missing"
        )
    architectures = config.get("architectures")
    name = str(architectures[0] if isinstance(architectures, list) and architectures else config["model_type"])
    if not OTHER_INPUTS & config.keys() and not name.endswith(NO_TEXT):
        # T5's oldest files lack is_encoder_decoder
        if config.get("is_encoder_decoder") or name.endswith("ForConditionalGeneration"):
            return "seq2seq"
        if name.endswith(("ForCausalLM", "LMHeadModel")):
            return "causal"
    raise ModelLoadError(
        f"{path / 'config.json'}: {name} is not served: only text to text models are, encoder-decoder "
        "(is_encoder_decoder) or decoder-only (...ForCausalLM)"
    )


def weight_files(path: Path) -> list[Path]:
    """The files of weights that would be loaded, which are those of the index where there is one. Raises
    `ModelLoadError` when it names what is not there, or lies elsewhere."""
    index = path / INDEX
    if (path / "model.safetensors").exists() or not index.exists():
        return sorted(path.glob("*.safetensors"))
    names = shard_names(read_object(index))
    if outside := next((name for name in names if not is_shard_name(name)), None):
        raise ModelLoadError(f"{index} names {outside!a}, which is no safetensors file beside it: it is not loaded")
    files = [path / name for name in names]
    if missing := next((file for file in files if not file.exists()), None):
        raise ModelLoadError(f"{missing} is missing, though {index.name} names it: download it again")
    return files


def _check_weights(path: Path) -> None:
    """Look at every file that would be loaded: by its header it must be what its name says."""
    files = weight_files(path)
    for file in files:
        read_header(file)
    if not files:
        if has_pickle(path):
            raise ModelLoadError(
                f"{path} has its weights as Python pickles only (pytorch_model.bin), which may run foreign code: "
                "take a revision with model.safetensors, or convert them to safetensors where you trust them"
            )
        raise ModelLoadError(f"{path} has a config.json but no weights: add its model.safetensors")


def _limits(config: Mapping[str, Any], kind: Kind) -> tuple[int | None, int | None]:
    """Positions of source and target. OPT's and BART's tables have two rows more, which are no positions."""
    if config["model_type"] in UNBOUNDED:
        return None, None
    if kind == "seq2seq" and all(name in config for name in SIDED_POSITIONS):
        source, target = (config[name] for name in SIDED_POSITIONS)
        return source, target
    positions = next((config[name] for name in POSITIONS if isinstance(config.get(name), int)), None)
    return (positions, positions) if kind == "seq2seq" else (positions, None)
