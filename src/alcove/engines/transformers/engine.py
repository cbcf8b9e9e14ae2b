"""Runs go in, transformers' `generate` makes their tokens in closed batches, steps come out. Implements `BatchEngine`.

Greedy and sampled tokens are delivered as they are made, the outputs of a beam search whole. Made by `load`.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from alcove.engines.base import BatchSink, Capabilities
from alcove.engines.transformers.beams import BeamOptions, BeamScores, search_config
from alcove.engines.transformers.checks import check_run
from alcove.engines.transformers.choices import ChooseTokens, RowEnds
from alcove.engines.transformers.cost import cost
from alcove.engines.transformers.groups import Group, make_groups
from alcove.engines.transformers.logprobs import RawLogprobs, of_given
from alcove.engines.transformers.options import beams, honoured, key, samples
from alcove.engines.transformers.prompts import Prompt, Prompter, ids_of
from alcove.engines.transformers.rows import Row
from alcove.runs import Run, TokenLogprob
from alcove.store.folder import ModelFolder


class TransformersEngine:
    """A loaded model."""

    def __init__(self, model: Any, folder: ModelFolder, *, threads: int | None, workers: int) -> None:
        self._model = model
        self._seq2seq = folder.kind == "seq2seq"
        self._positions = None if self._seq2seq else folder.source_limit
        self._threads = threads
        self.ids = ids_of(model, folder)
        """The model's own token ids."""
        self.prompter = Prompter(folder, self.ids, model.device)
        """Makes of a run what the model goes on from."""
        # The hooks carry out the options, and nothing may come between: `generate` takes from here what is left open.
        model.generation_config = GenerationConfig()
        self.workers = workers
        """Batches that may run at the same time."""
        self.cores = 0 if model.device.type == "cuda" else threads or torch.get_num_threads()
        """Cores that a batch keeps busy."""
        self.capabilities = Capabilities(engine="transformers", options=honoured(folder.kind))
        """What is honoured for this model."""

    @property
    def model(self) -> Any:
        """The model itself, for an engine that shares its weights."""
        return self._model

    def check(self, run: Run) -> None:
        """Refuse ids that the model lacks and values that transformers refuses; raises `InvalidRequest`."""
        check_run(run, self.ids)

    def batch_key(self, run: Run) -> Hashable:
        """Decoder prompts of a batch have one length: where positions are counted from the first id, as in BART,
        padding would shift them. Runs of a beam search are searched alike, to one limit; all else is each row's own."""
        prompt = self.prompter.prompt(run)
        search = None
        if beams(run.options) > 1:
            search = (key(run.options), run.outputs, run.max_new_tokens - len(run.made), prompt.forced_bos is None)
        return (search, len(prompt.ids) if self._seq2seq else None)

    def length(self, run: Run) -> int:
        """Tokens that are read before one is made."""
        return len(run.tokens) + (0 if self._seq2seq else len(run.made))

    def cost(self, runs: Sequence[Run]) -> float:
        """In steps of one row; see `cost.py`."""
        return cost(runs, [self.length(run) for run in runs])

    def run(self, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
        """Run these to their ends; all have the same `batch_key`. Those come back that would have outgrown the
        positions of a model which has no more of them for others in the batch."""
        if self._threads is not None:
            torch.set_num_threads(self._threads)  # the number is the calling thread's, and workers are many
        rows = [Row(run, self.prompter.prompt(run), self.ids.eos, sink) for run in runs]
        with torch.inference_mode():
            for row in rows:
                row.given = self._given(row)
                if row.limit <= 0:
                    row.take_nothing()
            rows = [row for row in rows if not row.ended]
            if rows:
                inputs = self.prompter.inputs([row.run for row in rows], [row.prompt for row in rows])
                if beams(rows[0].run.options) > 1:
                    self._search(rows, inputs)
                else:
                    self._go(rows, inputs, sink)
        return [row.rest() for row in rows if not row.ended]

    def close(self) -> None:
        """Release the model."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _go(self, rows: Sequence[Row], inputs: dict[str, torch.Tensor], sink: BatchSink) -> None:
        """Make tokens one by one, each row's in its own way."""
        prompt = self._prompt_length(inputs)
        steps = max(row.limit for row in rows)
        if self._positions is not None:
            # A row that has ended is fed on until all have: its position must still be one that the model has.
            steps = min(steps, max(1, self._positions + 1 - prompt))
        config = GenerationConfig(max_new_tokens=steps, pad_token_id=self.ids.pad)
        logprobs = RawLogprobs(rows)
        choices = ChooseTokens(rows, self._groups(rows, prompt), logprobs, prompt=prompt)
        self._generate(
            inputs,
            config,
            logits_processor=LogitsProcessorList([] if choices.idle else [choices]),
            stopping_criteria=StoppingCriteriaList([RowEnds(rows, logprobs, sink)]),
        )

    def _search(self, rows: Sequence[Row], inputs: dict[str, torch.Tensor]) -> None:
        """Search for whole outputs by beams."""
        prompt = self._prompt_length(inputs)
        options, outputs = rows[0].run.options, rows[0].run.outputs
        scorer = BeamScores(options, ends=len(rows[0].ends))
        hooks = [BeamOptions(rows, self._groups(rows, prompt), prompt=prompt), scorer]
        found = self._generate(inputs, search_config(rows[0], self.ids), logits_processor=LogitsProcessorList(hooks))
        made = found.sequences[:, prompt:]
        # What sampling chooses may lie outside of what the scorer keeps.
        scores = [None] * len(made) if samples(options) else scorer.of(made, found.beam_indices)
        for number, row in enumerate(rows):
            its = slice(number * outputs, (number + 1) * outputs)
            row.take_outputs(made[its].tolist(), scores[its], partial(self._output, row))

    def _generate(self, inputs: dict[str, torch.Tensor], config: GenerationConfig, **hooks: Any) -> Any:
        if self._seq2seq:
            # `generate` puts its own start token before prompts of which none begins with it.
            config.decoder_start_token_id = int(inputs["decoder_input_ids"][0, 0])
        return self._model.generate(**inputs, generation_config=config, **hooks)

    def _groups(self, rows: Sequence[Row], width: int) -> Sequence[Group]:
        return make_groups(rows, width=width, device=self._model.device)

    def _prompt_length(self, inputs: dict[str, torch.Tensor]) -> int:
        return int(inputs["decoder_input_ids" if self._seq2seq else "input_ids"].shape[1])

    def _given(self, row: Row) -> tuple[TokenLogprob | None, ...]:
        """Log-probabilities of what the run was given, where it wants them and they have not been delivered."""
        run = row.run
        if run.prompt_logprobs is None or run.made:
            return ()
        if not self._seq2seq:
            ids = run.tokens
            return (None, *self._logprobs(run, row.prompt, ids, len(ids) - 1, run.prompt_logprobs))
        return self._logprobs(run, row.prompt, row.prompt.ids, len(run.prefix), run.prompt_logprobs)

    def _output(self, row: Row, tokens: Sequence[int]) -> tuple[TokenLogprob, ...]:
        """Log-probabilities of a finished output."""
        forced = () if row.prompt.forced_bos is None else (row.prompt.forced_bos,)
        ids = (*row.prompt.ids, *forced, *tokens)
        return self._logprobs(row.run, row.prompt, ids, len(tokens), row.run.logprobs or 0)

    def _logprobs(self, run: Run, prompt: Prompt, ids: Sequence[int], count: int, top: int) -> tuple[TokenLogprob, ...]:
        """Log-probabilities of the last `count` of `ids`, which stand where the prompt's own do."""
        inputs = self.prompter.inputs([run], [replace(prompt, ids=tuple(ids))])
        return of_given(self._model, inputs, count, top)
