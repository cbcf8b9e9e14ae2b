"""Turns endless examples into padded batches of similar length.

In: examples and a tokenizer. Out: dictionaries of tensors that the model's `forward` takes, labels included, with
-100 wherever nothing is to be learned (padding, forced prefixes, all that the assistant did not say).
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Protocol, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from tools.builtin.examples import ChatExample, Seq2SeqExample
from tools.builtin.vocabulary import BOS, EOS, PAD, TURN_END, TURN_START

IGNORED = -100
POOL = 64
"""Batches that are sorted by length together."""

Batch = dict[str, Tensor]


ExampleT = TypeVar("ExampleT", contravariant=True)
RowT = TypeVar("RowT", bound=Sequence[Sequence[int]])


class Encoder(Protocol[ExampleT, RowT]):
    """What makes tensors of one kind of example."""

    def encode(self, example: ExampleT) -> RowT:
        """Give the token ids of an example, the source first, by which batches are made."""

    def collate(self, rows: list[RowT]) -> Batch:
        """Pad encoded examples to one length."""


def make_batches(
    examples: Iterator[ExampleT], encoder: Encoder[ExampleT, RowT], size: int, rng: Random
) -> Iterator[Batch]:
    """Draw a pool of examples, cut it into batches by length, and give these in random order."""
    while True:
        encoded = (encoder.encode(example) for example in islice(examples, POOL * size))
        pool = sorted(encoded, key=lambda row: len(row[0]))
        starts = list(range(0, len(pool), size))
        rng.shuffle(starts)
        for start in starts:
            yield encoder.collate(pool[start : start + size])


class Seq2SeqEncoder:
    """Encodes examples of `alcove-seq2seq` as source, decoder input and labels."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Look up the special tokens."""
        self._tokenizer = tokenizer
        self._pad, self._bos, self._eos = (tokenizer.get_vocab()[token] for token in (PAD, BOS, EOS))

    def encode(self, example: Seq2SeqExample) -> tuple[list[int], list[int], list[int]]:
        """Give source, decoder input (which starts with `</s>`) and labels."""
        prefix = self._ids(example.prefix)
        text = f" {example.answer}" if example.prefix else example.answer
        answer = self._ids(text)
        source = [self._bos, *self._ids(example.prompt), self._eos]
        return source, [self._eos, *prefix, *answer], [IGNORED] * len(prefix) + [*answer, self._eos]

    def collate(self, rows: list[tuple[list[int], list[int], list[int]]]) -> Batch:
        """Pad the rows to one length."""
        sources, inputs, labels = (list(column) for column in zip(*rows, strict=True))
        source = pad(sources, self._pad)
        return {
            "input_ids": source,
            "attention_mask": (source != self._pad).long(),
            "decoder_input_ids": pad(inputs, self._pad),
            "labels": pad(labels, IGNORED),
        }

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


class ChatEncoder:
    """Encodes conversations exactly as the chat template does, and marks the assistant's words."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Look up the special tokens."""
        self._tokenizer = tokenizer

    def encode(self, example: ChatExample) -> tuple[list[int], list[int]]:
        """Give token ids and labels."""
        ids: list[int] = []
        labels: list[int] = []
        for message in example.messages:
            head = self._ids(f"{TURN_START}{message['role']}\n")
            body = self._ids(f"{message['content']}{TURN_END}")
            tail = self._ids("\n")
            ids += head + body + tail
            learned = message["role"] == "assistant"
            labels += [IGNORED] * len(head) + (body if learned else [IGNORED] * len(body)) + [IGNORED] * len(tail)
        return ids, labels

    def collate(self, rows: list[tuple[list[int], list[int]]]) -> Batch:
        """Pad the rows on the right, where a causal model never looks back from."""
        return {"input_ids": pad([row[0] for row in rows], 0), "labels": pad([row[1] for row in rows], IGNORED)}

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def pad(rows: list[list[int]], value: int) -> Tensor:
    """Stack rows of different length, filled up on the right."""
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])
