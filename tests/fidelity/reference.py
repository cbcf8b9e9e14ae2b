"""The oracle: transformers called directly on a folder, one prompt a call, as a reader of its documentation would.

`Reference.answer(run)` says what a run must come to; `assert_same` compares, and lets true ties pass.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from alcove.runs import Run

TIE = 1e-4
"""Two tokens whose log-probabilities differ by less are equally good."""


@dataclass(frozen=True)
class Answer:
    tokens: tuple[int, ...]
    """Without the prompt, the forced first token and the end of sequence."""
    ended: bool
    """Whether an end of sequence stands behind them."""
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
        if not options["min_new_tokens"]:
            del options["min_new_tokens"]  # 0 would set min_length aside
        if not sampling:
            options = {name: value for name, value in options.items() if name not in ("temperature", "top_p", "top_k")}
        forced = run.forced_bos is not None and not run.prefix
        lead = [] if run.forced_bos is None or forced else [run.forced_bos]
        with torch.inference_mode():
            found = self.model.generate(
                **self._inputs(run.tokens, [*lead, *run.prefix]),
                **options,
                do_sample=sampling,
                num_return_sequences=run.outputs,
                max_new_tokens=run.max_new_tokens + forced,
                forced_bos_token_id=run.forced_bos if forced else None,
                forced_eos_token_id=run.forced_eos,
                return_dict_in_generate=True,
                output_scores=True,
            )
        start = 1 + len(lead) + len(run.prefix) if self.seq2seq else len(run.tokens)
        scores = found.sequences_scores.tolist() if searching else [None] * run.outputs
        made = [sequence[start + forced :] for sequence in found.sequences.tolist()]
        return [self._cut(tokens, score) for tokens, score in zip(made, scores, strict=True)]

    def next_log_probabilities(self, run: Run, made: tuple[int, ...]) -> torch.Tensor:
        """Of every token of the vocabulary, after the tokens `made` so far; options apart."""
        lead = () if run.forced_bos is None else (run.forced_bos,)
        with torch.inference_mode():
            if self.seq2seq:
                logits = self.model(**self._inputs(run.tokens, [*lead, *run.prefix, *made])).logits
            else:
                logits = self.model(input_ids=torch.tensor([[*run.tokens, *made]])).logits
        return logits[0, -1].log_softmax(dim=-1)

    def _inputs(self, tokens: tuple[int, ...], prefix: list[int]) -> dict[str, Any]:
        inputs = {"input_ids": torch.tensor([tokens]), "attention_mask": torch.ones(1, len(tokens), dtype=torch.long)}
        if self.seq2seq:
            start = self.model.generation_config.decoder_start_token_id
            inputs["decoder_input_ids"] = torch.tensor([[start, *prefix]])
        return inputs

    def _cut(self, made: list[int], score: float | None) -> Answer:
        eos = self.model.generation_config.eos_token_id
        ends = {eos} if isinstance(eos, int) else set(eos)
        end = next((place for place, token in enumerate(made) if token in ends), None)
        return Answer(tokens=tuple(made[:end]), ended=end is not None, score=score)


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
