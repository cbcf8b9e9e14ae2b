"""Runs go in, transformers' `generate` makes their tokens in closed batches, steps come out. Implements `BatchEngine`.

Greedy and sampled tokens are delivered as they are made, the outputs of a beam search whole. Made by `load`.
"""

import json
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from alcove.engines.base import BatchSink, Capabilities
from alcove.engines.transformers.beams import BeamScores
from alcove.engines.transformers.options import ENCODER_ONLY, HONOURED, Ids, check_options, effective, make_config
from alcove.engines.transformers.rows import ForcedTokens, Row, RowEnds
from alcove.errors import InvalidRequest, ModelLoadError
from alcove.runs import Run
from alcove.store.folder import ModelFolder

_SEES_PROMPT = frozenset({"bad_words_ids", "min_length", "no_repeat_ngram_size", "sequence_bias"})
"""Options whose processors would take the padding before a causal model's prompt for text."""


class TransformersEngine:
    """A loaded model."""

    def __init__(self, model: Any, folder: ModelFolder, *, threads: int | None, workers: int) -> None:
        self._model = model
        self._seq2seq = folder.kind == "seq2seq"
        self._threads = threads
        self._sees_padding = ENCODER_ONLY if self._seq2seq else _SEES_PROMPT
        self._ids = _ids(model, folder)
        # mBART-25 starts from the language itself, where others make it the first token (`forced_bos`).
        others_start = self._ids.start in (self._ids.pad, *self._ids.eos)
        self._starts_from_language = folder.model_type == "mbart" and not others_start
        # The run's options are complete, and nothing may come between: `generate` takes from here what they leave open.
        model.generation_config = GenerationConfig()
        self.workers = workers
        """Batches that may run at the same time."""
        self.capabilities = Capabilities(
            engine="transformers",
            options={name: how for name, how in HONOURED.items() if self._seq2seq or name not in ENCODER_ONLY},
        )
        """What is honoured for this model."""

    def check(self, run: Run) -> None:
        """Refuse ids that the model lacks and values that transformers refuses; raises `InvalidRequest`."""
        if not run.tokens:
            raise InvalidRequest("The prompt is empty.", param="prompt")
        forced = [token for token in (run.forced_bos, run.forced_eos) if token is not None]
        for token in (*run.tokens, *run.prefix, *forced):
            if not 0 <= token < self._ids.size:
                raise InvalidRequest(
                    f"The token id {token} is not one of this model's, which are 0 to {self._ids.size - 1}.",
                    param="prompt",
                )
        check_options(run, self._ids)

    def batch_key(self, run: Run) -> Hashable:
        """Options hold for a whole batch, and so does the length of the decoder's prompt. Runs of a beam search have
        one limit, and where padding would be taken for text, prompts have one length."""
        options = effective(run.options)
        forced_bos = self._made_first(run) is not None
        return (
            json.dumps(options, sort_keys=True, default=str),
            len(self._decoder_prompt(run)),
            (run.outputs, run.max_new_tokens + forced_bos) if options["num_beams"] > 1 else None,
            len(run.tokens) if self._sees_padding & options.keys() else None,
        )

    def run(self, runs: Sequence[Run], sink: BatchSink) -> None:
        """Run these to their ends; all have the same `batch_key`."""
        if self._threads is not None:
            torch.set_num_threads(self._threads)  # the number is the calling thread's, and workers are many
        rows = [Row(run, self._ids.eos, forced_bos=self._made_first(run), sink=sink) for run in runs]
        options, outputs = runs[0].options, runs[0].outputs
        config = make_config(options, self._ids, limit=max(row.limit for row in rows), outputs=outputs)
        inputs = self._inputs(runs)
        if self._seq2seq:
            # `generate` puts its own start token before prompts of which none begins with it.
            config.decoder_start_token_id = int(inputs["decoder_input_ids"][0, 0])
        prompt_length = inputs["decoder_input_ids" if self._seq2seq else "input_ids"].shape[1]
        forced = ForcedTokens(rows, beams=config.num_beams, prompt_length=prompt_length)
        with torch.inference_mode():
            if config.num_beams == 1:
                self._model.generate(
                    **inputs,
                    generation_config=config,
                    logits_processor=LogitsProcessorList([forced]),
                    stopping_criteria=StoppingCriteriaList([RowEnds(rows)]),
                )
                return
            scorer = BeamScores(options, ends=len(self._ids.eos))
            found = self._model.generate(
                **inputs, generation_config=config, logits_processor=LogitsProcessorList([forced, scorer])
            )
        made = found.sequences[:, prompt_length:]
        # What sampling chooses may lie outside of what the scorer keeps.
        scores = [None] * len(made) if config.do_sample else scorer.of(made, found.beam_indices)
        for number, row in enumerate(rows):
            its = slice(number * outputs, (number + 1) * outputs)
            row.take_outputs(made[its].tolist(), scores[its])

    def close(self) -> None:
        """Release the model."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _made_first(self, run: Run) -> int | None:
        """The forced first token, unless it is in the decoder's prompt already."""
        return None if self._starts_from_language or run.prefix else run.forced_bos

    def _decoder_prompt(self, run: Run) -> list[int]:
        """What the decoder of an encoder-decoder is given to go on from."""
        if self._ids.start is None:
            return []
        start = [self._ids.start]
        if run.forced_bos is not None and self._starts_from_language:
            start = [run.forced_bos]
        elif run.forced_bos is not None and run.prefix:
            start.append(run.forced_bos)
        return [*start, *run.prefix]

    def _inputs(self, runs: Sequence[Run]) -> dict[str, torch.Tensor]:
        """Arguments of `generate`: prompts padded left, or sources padded right, and the decoder's prompts."""
        width = max(len(run.tokens) for run in runs)
        tokens, mask = [], []
        for run in runs:
            padding = [self._ids.pad] * (width - len(run.tokens))
            real, rest = [1] * len(run.tokens), [0] * len(padding)
            # A causal model goes on behind its prompt, so the padding must stand before it.
            tokens.append([*run.tokens, *padding] if self._seq2seq else [*padding, *run.tokens])
            mask.append(real + rest if self._seq2seq else rest + real)
        inputs = {"input_ids": tokens, "attention_mask": mask}
        if self._seq2seq:
            inputs["decoder_input_ids"] = [self._decoder_prompt(run) for run in runs]
        return {name: torch.tensor(rows, device=self._model.device) for name, rows in inputs.items()}


def _ids(model: Any, folder: ModelFolder) -> Ids:
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
