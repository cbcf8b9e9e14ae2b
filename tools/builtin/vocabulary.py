"""Trains the two byte-level BPE tokenizers and writes the files that transformers reads.

In: texts from the example streams, without reversed words, which are not worth a token. Out: a `Tokenizer` that
loses no character (bytes are its alphabet, so nothing is ever unknown; each digit is a token) and its configuration.
"""

import json
from itertools import islice
from pathlib import Path
from random import Random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tools.builtin.examples import chat_examples, seq2seq_examples

VOCABULARY_SIZE = 1536
SAMPLES = 40_000
"""Examples of which the merges are learned."""

BOS, PAD, EOS, UNK = "<s>", "<pad>", "</s>", "<unk>"
"""The special tokens of `alcove-seq2seq`, in BART's order."""
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
"""The special tokens of `alcove-chat`."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}\n"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n"
    "{{- '<|im_start|>assistant\\n' -}}\n"
    "{%- endif -%}\n"
)


def train_seq2seq_tokenizer(seed: int) -> Tokenizer:
    """Learn the tokenizer of `alcove-seq2seq`, which adds `<s>` and `</s>` as BART's does."""
    texts = [
        text
        for example in islice(seq2seq_examples(Random(seed)), SAMPLES)
        for text in (example.prompt, f"{example.prefix} {example.answer}".strip())
    ]
    tokenizer = _train(texts, [BOS, PAD, EOS, UNK], UNK)
    ends = [(token, tokenizer.token_to_id(token)) for token in (BOS, EOS)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", pair=f"{BOS} $A {EOS} {EOS} $B {EOS}", special_tokens=ends
    )
    return tokenizer


def train_chat_tokenizer(seed: int) -> Tokenizer:
    """Learn the tokenizer of `alcove-chat`, which adds nothing: its chat template does."""
    conversations = islice(chat_examples(Random(seed)), SAMPLES)
    texts = [f"{message['role']}\n{message['content']}" for chat in conversations for message in chat.messages]
    return _train(texts, [END_OF_TEXT, TURN_START, TURN_END], None)


def _train(texts: list[str], special_tokens: list[str], unknown: str | None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=special_tokens,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, chat: bool, max_length: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and, for chat, chat_template.jinja."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config: dict[str, object] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
    }
    if chat:
        config |= {"bos_token": END_OF_TEXT, "eos_token": TURN_END, "pad_token": END_OF_TEXT, "padding_side": "left"}
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    else:
        config |= {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "unk_token": UNK}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
