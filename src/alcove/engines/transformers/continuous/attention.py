"""Attention of a packed batch, request by request; registered under `NAME` for models on a CPU.

transformers packs the new tokens of all requests into one row. Its sdpa and eager attention then multiply every query
with the keys of every request and mask what does not belong together (`integrations/eager_paged.py`): of a step with 16
requests a third of the time.
"""

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "alcove_packed"


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **arguments: Any,
) -> tuple[torch.Tensor, None]:
    """`query`, `key`, `value`: (1, heads, new tokens, width). Returns (1, new tokens, heads, width)."""
    key, value = arguments.pop("cache").update(
        key_states=key, value_states=value, layer_idx=module.layer_idx, kwargs=arguments
    )
    passed = {name: arguments[name] for name in ("dropout", "scaling", "softcap") if name in arguments}
    ends, key_ends = arguments["cu_seq_lens_q"].tolist(), arguments["cu_seq_lens_k"].tolist()
    parts = []
    for begin, end, key_begin, key_end in zip(ends, ends[1:], key_ends, key_ends[1:], strict=False):
        new, seen = end - begin, key_end - key_begin
        mask = None
        if 1 < new < seen:  # the rest of a prompt: torch's own causal mask would begin at the first key
            mask = torch.ones(new, seen, dtype=torch.bool, device=query.device).tril(seen - new)[None, None]
        made, _ = sdpa_attention_forward(
            module,
            query[:, :, begin:end],
            key[:, :, key_begin:key_end],
            value[:, :, key_begin:key_end],
            mask,
            is_causal=new > 1,
            **passed,
        )
        parts.append(made)
    return torch.cat(parts, dim=1), None


AttentionInterface.register(NAME, packed_attention)
