"""Repositories of a few hundred bytes that pass for models, for tests in which nothing is computed."""

import json

import numpy as np
import safetensors.numpy

CONFIG = {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "vocab_size": 10}
"""Of a family that is never converted."""


def weights(rows: int = 10, width: int = 4) -> bytes:
    return safetensors.numpy.save({"gpt_neox.embed_in.weight": np.zeros((rows, width), dtype=np.float32)})


FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "tokenizer.json": b'{"model": {"vocab": {"a": 0, "b": 9}}}',
    "tokenizer_config.json": b"{}",
    "source.spm": b"spm",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": weights(),
    "pytorch_model.bin": b"pickle",
    "model.fp16.safetensors": b"half",
    "modeling_tiny.py": b"raise SystemExit",
    "tf_model.h5": b"tf",
    "training_log.json": b"{}",
    "README.md": b"# tiny",
    "onnx/model.onnx": b"onnx",
}
NEEDED = {
    *("config.json", "tokenizer.json", "tokenizer_config.json", "source.spm", "chat_template.jinja"),
    "model.safetensors",
}
