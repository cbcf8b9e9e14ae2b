"""The oracle: transformers called directly on a folder, one prompt a call, as a reader of its documentation would.

`Reference.answer(run)` says what a run must come to; `assert_same` compares, and lets true ties pass.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
)

from alcove.runs import Run

TIE = 1e-4
"""Two tokens whose log-probabilities differ by less are equally good."""


@dataclass(frozen=True)
class Answer:
    tokens: tuple[int, ...]
    """Without the prompt, the forced first token and the end of sequence."""
    ended: bool
    """Whether an end of sequence stands behind them, or one of `stop_token_ids` is the last of them."""
    score: float | None = None


class Reference:
    """A folder in transformers' layout, in float32 on the CPU."""

    def __init__(self, folder: Path) -> None:
        self.seq2seq = AutoConfig.from_pretrained(folder).is_encoder_decoder
        auto = AutoModelForSeq2SeqLM if self.seq2seq else AutoModelForCausalLM
        self.model = auto.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text).input_ids)

    def answer(self, run: Run) -> list[Answer]:
        """The outputs of `run`, best first, from one `generate`; what `run` leaves out comes from the folder."""
        options = run.options.given()
        searching = options["num_beams"] > 1
        sampling = options["temperature"] > 0
        extra = self._in_their_terms(run, options)
        forced = run.forced_bos is not None and not run.prefix
        lead = [] if run.forced_bos is None or forced else [run.forced_bos]
        with torch.inference_mode():
            found = self.model.generate(
                **self._inputs(run.tokens, [*lead, *run.prefix]),
                **options,
                **extra,
                do_sample=sampling,
                num_return_sequences=run.outputs,
                max_new_tokens=run.max_new_tokens + forced,
                forced_bos_token_id=run.forced_bos if forced else None,
                forced_eos_token_id=None if run.options.ignore_eos else run.forced_eos,
                return_dict_in_generate=True,
                output_scores=True,
            )
        start = 1 + len(lead) + len(run.prefix) if self.seq2seq else len(run.tokens)
        scores = found.sequences_scores.tolist() if searching else [None] * run.outputs
        made = [sequence[start + forced :] for sequence in found.sequences.tolist()]
        stops = () if run.options.stop_token_ids is None else run.options.stop_token_ids
        return [self._cut(tokens, score, stops) for tokens, score in zip(made, scores, strict=True)]

    def next_distribution(self, run: Run) -> torch.Tensor:
        """Probabilities from which `generate` would draw the next token after `run.made`."""
        options = run.options.given()
        extra = self._in_their_terms(run, options)
        lead = () if run.forced_bos is None else (run.forced_bos,)
        tokens = run.tokens if self.seq2seq else (*run.tokens, *run.made)
        with torch.inference_mode():
            found = self.model.generate(
                **self._inputs(tokens, [*lead, *run.prefix, *run.made]),
                **options,
                **extra,
                do_sample=True,
                max_new_tokens=1,
                return_dict_in_generate=True,
                output_scores=True,
            )
        return found.scores[0][0].softmax(dim=-1)

    def next_log_probabilities(self, run: Run, made: tuple[int, ...]) -> torch.Tensor:
        """Of every token of the vocabulary, after the tokens `made` so far; options apart."""
        lead = () if run.forced_bos is None else (run.forced_bos,)
        with torch.inference_mode():
            if self.seq2seq:
                logits = self.model(**self._inputs(run.tokens, [*lead, *run.prefix, *made])).logits
            else:
                logits = self.model(input_ids=torch.tensor([[*run.tokens, *made]])).logits
        return logits[0, -1].log_softmax(dim=-1)

    def log_probabilities(self, run: Run, made: tuple[int, ...] = ()) -> torch.Tensor:
        """(ids, vocabulary): of every token in the place of each id of a causal model's prompt but the first, of an
        encoder-decoder's prefix, and of the output `made` behind it."""
        lead = [] if run.forced_bos is None else [run.forced_bos]
        with torch.inference_mode():
            if self.seq2seq:
                logits = self.model(**self._inputs(run.tokens, [*lead, *run.prefix, *made])).logits[0, len(lead) :]
            else:
                logits = self.model(input_ids=torch.tensor([[*run.tokens, *made]])).logits[0]
        return logits[:-1].log_softmax(dim=-1)

    @property
    def ends(self) -> list[int]:
        """Ids that end an output."""
        eos = self.model.generation_config.eos_token_id
        return [eos] if isinstance(eos, int) else list(eos)

    def _in_their_terms(self, run: Run, options: dict[str, Any]) -> dict[str, Any]:
        """Arguments of `generate` for what it knows by another name or not at all; taken out of `options`."""
        ours = ("logit_bias", "allowed_token_ids", "presence_penalty", "frequency_penalty", "stop_token_ids")
        asked = {name: options.pop(name, None) for name in (*ours, "ignore_eos", "seed")}
        unused = () if options["temperature"] > 0 else ("temperature", "top_p", "top_k", "min_p", "typical_p")
        # 0 new tokens would set min_length aside
        unused += tuple(name for name in ("min_new_tokens", "bad_words_ids") if not options.get(name))
        for name in unused:
            options.pop(name, None)
        if "bad_words_ids" in options:
            options["bad_words_ids"] = [list(ids) for ids in options["bad_words_ids"]]
        extra: dict[str, Any] = {}
        if asked["logit_bias"]:
            extra["sequence_bias"] = [[[token], float(bias)] for token, bias in asked["logit_bias"].items()]
        if asked["allowed_token_ids"]:
            allowed = [*asked["allowed_token_ids"], *self.ends]
            extra["prefix_allowed_tokens_fn"] = lambda _, __: allowed
        if asked["stop_token_ids"]:
            extra["eos_token_id"] = [*self.ends, *asked["stop_token_ids"]]
        if asked["ignore_eos"]:
            extra["suppress_tokens"] = self.ends
        if asked["presence_penalty"] or asked["frequency_penalty"]:
            given = len(run.tokens)
            if self.seq2seq:
                given = 1 + (run.forced_bos is not None) + len(run.prefix)
            counting = Counting(given, asked["presence_penalty"], asked["frequency_penalty"])
            extra["logits_processor"] = LogitsProcessorList([counting])
        return extra

    def _inputs(self, tokens: tuple[int, ...], prefix: list[int]) -> dict[str, Any]:
        inputs = {"input_ids": torch.tensor([tokens]), "attention_mask": torch.ones(1, len(tokens), dtype=torch.long)}
        if self.seq2seq:
            start = self.model.generation_config.decoder_start_token_id
            inputs["decoder_input_ids"] = torch.tensor([[start, *prefix]])
        return inputs

    def _cut(self, made: list[int], score: float | None, stops: tuple[int, ...]) -> Answer:
        end = next((place for place, token in enumerate(made) if token in {*self.ends, *stops}), None)
        ended = end is not None
        if ended and made[end] not in self.ends:
            end += 1
        return Answer(tokens=tuple(made[:end]), ended=ended, score=score)


class Counting(LogitsProcessor):
    """OpenAI's penalties, as its documentation writes them: mu[j] - c[j] * frequency - float(c[j] > 0) * presence."""

    def __init__(self, given: int, presence: float, frequency: float) -> None:
        self.given, self.presence, self.frequency = given, presence, frequency

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.clone()
        for row, ids in enumerate(input_ids.tolist()):
            for token, count in Counter(ids[self.given :]).items():
                scores[row, token] -= count * self.frequency + float(count > 0) * self.presence
        return scores


def assert_same(reference: Reference, run: Run, got: tuple[int, ...], expected: Answer) -> None:
    """The same tokens; or, where they part, two that the model itself holds equally probable."""
    if got == expected.tokens:
        return
    place = next(
        (i for i, (mine, theirs) in enumerate(zip(got, expected.tokens, strict=False)) if mine != theirs), None
    )
    assert place is not None, f"{len(got)} tokens instead of {len(expected.tokens)}: {got} / {expected.tokens}"
    probabilities = reference.next_log_probabilities(run, expected.tokens[:place])
    apart = abs(float(probabilities[got[place]] - probabilities[expected.tokens[place]]))
    assert apart < TIE, f"token {place} is {got[place]} instead of {expected.tokens[place]}, {apart} apart"
