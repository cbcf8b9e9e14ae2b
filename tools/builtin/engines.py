"""Greedy answers of a built-in model from both libraries.

In: token ids of prompts and of forced decoder prefixes. Out: token ids of the answers, without prefix and end.
Prompts of equal length go together, so nothing is ever padded.
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple, Protocol

import ctranslate2
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

MAX_NEW_TOKENS = 64
_BATCH = 64


class Prompt(NamedTuple):
    """What one answer is generated from."""

    source: tuple[int, ...]
    prefix: tuple[int, ...]
    """What an encoder-decoder's answer is made to start with."""


class Engine(Protocol):
    """Answers equal-length prompts."""

    def answer(self, prompts: list[Prompt]) -> list[list[int]]:
        """Give the answers in the order of the prompts."""


def answer_all(engine: Engine, prompts: list[Prompt]) -> list[list[int]]:
    """Answer any prompts, in batches of equal length."""
    groups: defaultdict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        groups[len(prompt.source), prompt.prefix].append(index)
    answers: dict[int, list[int]] = {}
    for indices in groups.values():
        for start in range(0, len(indices), _BATCH):
            batch = indices[start : start + _BATCH]
            answers |= zip(batch, engine.answer([prompts[index] for index in batch]), strict=True)
    return [answers[index] for index in range(len(prompts))]


class TransformersEngine:
    """transformers on the master's weights, upcast to float32."""

    def __init__(self, folder: Path, *, chat: bool) -> None:
        """Load the weights."""
        loader = AutoModelForCausalLM if chat else AutoModelForSeq2SeqLM
        self._model = loader.from_pretrained(folder, dtype=torch.float32).eval()
        self._chat = chat

    def answer(self, prompts: list[Prompt]) -> list[list[int]]:
        """Generate greedily."""
        settings = self._model.generation_config
        source = torch.tensor([prompt.source for prompt in prompts])
        options: dict[str, torch.Tensor] = {}
        start = source.shape[1]
        if not self._chat:
            first = settings.decoder_start_token_id
            options["decoder_input_ids"] = torch.tensor([(first, *prompt.prefix) for prompt in prompts])
            start = options["decoder_input_ids"].shape[1]
        rows = self._model.generate(
            source, attention_mask=torch.ones_like(source), max_new_tokens=MAX_NEW_TOKENS, do_sample=False, **options
        )
        return [_until(row[start:], settings.eos_token_id) for row in rows.tolist()]


class CTranslate2Engine:
    """CTranslate2 on a converted folder, one thread."""

    def __init__(self, folder: Path, *, chat: bool) -> None:
        """Load the weights, and the tokenizer for the names of the tokens."""
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._chat = chat
        loader = ctranslate2.Generator if chat else ctranslate2.Translator
        self._model = loader(str(folder), device="cpu", inter_threads=1, intra_threads=1)

    def answer(self, prompts: list[Prompt]) -> list[list[int]]:
        """Generate greedily; every default that would change the answer is set."""
        name, number = self._tokenizer.convert_ids_to_tokens, self._tokenizer.convert_tokens_to_ids
        sources = [name(list(prompt.source)) for prompt in prompts]
        if self._chat:
            results = self._model.generate_batch(
                sources, beam_size=1, max_length=MAX_NEW_TOKENS, include_prompt_in_result=False
            )
            return [number(result.sequences[0]) for result in results]
        prefixes = [name(list(prompt.prefix)) for prompt in prompts]
        results = self._model.translate_batch(
            sources, target_prefix=prefixes, beam_size=1, max_input_length=0, min_decoding_length=0,
            max_decoding_length=MAX_NEW_TOKENS,
        )  # fmt: skip
        return [number(result.hypotheses[0][len(prefix) :]) for result, prefix in zip(results, prefixes, strict=True)]


def _until(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
