"""What a run is to a model: the ids that it goes on from, as transformers' `generate` expects them.

Used by `engine.py`, once for each model and for each run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from alcove.errors import ModelLoadError
from alcove.runs import Run
from alcove.store.folder import ModelFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The model's own token ids, and how many there are."""

    eos: tuple[int, ...]
    pad: int
    start: int | None
    """What the decoder starts from (encoder-decoder)."""
    size: int
    """Ids are below this: rows of the embedding table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What an output follows on: a causal model's prompt, an encoder-decoder's decoder prompt."""

    ids: tuple[int, ...]
    """All of it, with what an earlier batch has made."""
    begin: int
    """How many of these `generate` would have been given for the whole run."""
    output: int
    """Where the output's first token stands, or will stand."""
    forced_bos: int | None
    """What must be made first, before the output; None when there is no such token or `ids` have it."""


class Prompter:
    """Makes the prompts and the inputs of one model."""

    def __init__(self, folder: ModelFolder, ids: Ids, device: torch.device) -> None:
        self._seq2seq = folder.kind == "seq2seq"
        self._ids = ids
        self._device = device
        # mBART-25 starts from the language itself, where others make it the first token (`forced_bos`).
        others_start = ids.start in (ids.pad, *ids.eos)
        self._starts_from_language = folder.model_type == "mbart" and not others_start

    def prompt(self, run: Run) -> Prompt:
        """What the model goes on from."""
        start, forced = run.tokens, () if run.forced_bos is None else (run.forced_bos,)
        if self._ids.start is not None:
            start = (self._ids.start,)
            if forced and self._starts_from_language:
                start, forced = forced, ()
        output = len(start) + len(forced) + len(run.prefix)
        to_make = forced if not run.prefix and not run.made else ()
        return Prompt(
            ids=(*start, *(() if to_make else forced), *run.prefix, *run.made),
            begin=output if run.prefix else len(start),
            output=output,
            forced_bos=next(iter(to_make), None),
        )

    def inputs(self, runs: Sequence[Run], prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        """Arguments of `generate` and of the model itself: (rows, longest). Causal prompts are padded on the left,
        since the model goes on behind them; sources on the right. Decoder prompts are of one length."""
        given = [run.tokens if self._seq2seq else prompt.ids for run, prompt in zip(runs, prompts, strict=True)]
        width = max(map(len, given))
        tokens, mask = [], []
        for ids in given:
            padding = [self._ids.pad] * (width - len(ids))
            real, rest = [1] * len(ids), [0] * len(padding)
            tokens.append([*ids, *padding] if self._seq2seq else [*padding, *ids])
            mask.append(real + rest if self._seq2seq else rest + real)
        inputs: dict[str, Any] = {"input_ids": tokens, "attention_mask": mask}
        if self._seq2seq:
            inputs["decoder_input_ids"] = [prompt.ids for prompt in prompts]
        return {name: torch.tensor(rows, device=self._device) for name, rows in inputs.items()}


def ids_of(model: Any, folder: ModelFolder) -> Ids:
    """The folder's ids; those it leaves open as transformers finds them (`_prepare_special_tokens`)."""
    own = model.generation_config
    eos = folder.generation.eos or _several(own.eos_token_id)
    pad = own.pad_token_id
    if pad is None or pad < 0:
        pad = next(iter(eos), 0)
    start = None
    if folder.kind == "seq2seq":
        candidates = (folder.generation.decoder_start, own.decoder_start_token_id, own.bos_token_id)
        start = next((token for token in candidates if token is not None), None)
        if start is None:
            raise ModelLoadError(f"{folder.path}: decoder_start_token_id is missing in generation_config.json: add it")
    return Ids(eos=eos, pad=pad, start=start, size=model.get_input_embeddings().weight.shape[0])


def _several(ids: int | list[int] | None) -> tuple[int, ...]:
    return () if ids is None else (ids,) if isinstance(ids, int) else tuple(ids)
