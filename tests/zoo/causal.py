"""Decoder-only families: each function writes its tokenizer's files and says what weights go with them."""

from pathlib import Path

import transformers

from . import vocabularies
from .made import Made

LLAMA_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
ROPE = {"rope_type": "default"}
PARTIAL_ROTARY_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
    "rope_parameters": {**ROPE, "rope_theta": 10_000.0, "partial_rotary_factor": 0.5},
}
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_CHAT = (
    "{% for message in messages %}{% if message.role == 'assistant' %}{{ message.content }}{{ eos_token }}"
    "{% else %}{{ bos_token }}[INST] {{ message.content }} [/INST]{% endif %}{% endfor %}"
)
GEMMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% set role = 'model' if message.role == 'assistant' else message.role %}"
    "<start_of_turn>{{ role }}\n{{ message.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def gpt2(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_level(350, [])
    end = vocabulary["<|endoftext|>"] = len(vocabulary)
    transformers.GPT2Tokenizer(vocab=vocabulary, merges=merges, model_max_length=128).save_pretrained(folder)
    ids = {"bos_token_id": end, "eos_token_id": end}
    config = transformers.GPT2Config(vocab_size=len(vocabulary), n_positions=128, n_embd=32, n_layer=2, n_head=4, **ids)
    return Made(config, ids)


def opt(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_level(350, ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer = transformers.GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="<pad>",
        add_bos_token=True,
    )
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 2, "pad_token_id": 1, "eos_token_id": 2}
    config = transformers.OPTConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        word_embed_proj_dim=32,
        **ids,
    )
    return Made(config, ids)


def llama(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_fallback(450, ["<unk>", "<s>", "</s>"])
    tokenizer = transformers.LlamaTokenizer(vocab=vocabulary, merges=merges, model_max_length=256, add_bos_token=True)
    tokenizer.chat_template = LLAMA_CHAT
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 1, "eos_token_id": 2}
    return Made(transformers.LlamaConfig(vocab_size=len(vocabulary), **ids, **LLAMA_SHAPE), ids)


def qwen2(folder: Path) -> Made:
    """Two tokens end an answer; the vocabulary's table is longer than the tokenizer's."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary, merges = vocabularies.byte_level(350, [])
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special,
        model_max_length=256,
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    end_of_text, _, end_of_turn = (tokenizer.convert_tokens_to_ids(token) for token in special)
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer) + 9, bos_token_id=end_of_text, eos_token_id=end_of_turn, **LLAMA_SHAPE
    )
    generation = {
        "bos_token_id": end_of_text,
        "pad_token_id": end_of_text,
        "eos_token_id": [end_of_turn, end_of_text],
        "do_sample": True,
        "temperature": 0.7,
        "top_k": 20,
        "top_p": 0.8,
        "repetition_penalty": 1.1,
    }
    return Made(config, generation, rare=range(len(tokenizer), len(tokenizer) + 9))


def gpt_neox(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_level(350, ["<|endoftext|>", "<|padding|>"])
    tokenizer = transformers.GPTNeoXTokenizer(vocab=vocabulary, merges=merges, model_max_length=128)
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    config = transformers.GPTNeoXConfig(vocab_size=len(tokenizer) + 6, **ids, **PARTIAL_ROTARY_SHAPE)
    return Made(config, ids, rare=range(len(tokenizer), len(tokenizer) + 6))


def mistral(folder: Path) -> Made:
    """Llama with wider heads and another base of its positions, and a template that begins with the start token."""
    vocabulary, merges = vocabularies.byte_fallback(450, ["<unk>", "<s>", "</s>"])
    tokenizer = transformers.LlamaTokenizer(vocab=vocabulary, merges=merges, model_max_length=256, add_bos_token=True)
    tokenizer.chat_template = LLAMA_CHAT
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 1, "eos_token_id": 2}
    shape = {**LLAMA_SHAPE, "head_dim": 12, "sliding_window": None, "rope_parameters": {**ROPE, "rope_theta": 1e6}}
    return Made(transformers.MistralConfig(vocab_size=len(vocabulary), **ids, **shape), ids)


def qwen3(folder: Path) -> Made:
    """Qwen2 with norms on queries and keys and heads of a width of their own."""
    qwen = qwen2(folder)
    own = {"head_dim": 12, "rope_parameters": {**ROPE, "rope_theta": 1e6}}
    config = qwen.config
    ids = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id}
    shape = {**LLAMA_SHAPE, **own, **ids}
    return qwen._replace(config=transformers.Qwen3Config(vocab_size=config.vocab_size, **shape))


def gemma(folder: Path) -> Made:
    """One pair of keys and values for all heads, scaled embeddings, tied; ids in an order of their own."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    vocabulary, merges = vocabularies.byte_fallback(460, special)
    tokenizer = transformers.GemmaTokenizer(
        vocab=vocabulary, merges=merges, model_max_length=256, additional_special_tokens=special[5:], add_bos_token=True
    )
    tokenizer.chat_template = GEMMA_CHAT
    tokenizer.save_pretrained(folder)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    shape = {**LLAMA_SHAPE, "num_key_value_heads": 1, "head_dim": 12, "rope_parameters": {**ROPE, "rope_theta": 500.0}}
    config = transformers.GemmaConfig(vocab_size=len(vocabulary), **ids, **shape)
    return Made(config, {**ids, "eos_token_id": [1, 6]})


def phi(folder: Path) -> Made:
    """Attention and feed-forward side by side, positions in half of each head."""
    vocabulary, merges = vocabularies.byte_level(350, [])
    end = vocabulary["<|endoftext|>"] = len(vocabulary)
    transformers.CodeGenTokenizer(vocab=vocabulary, merges=merges, model_max_length=128).save_pretrained(folder)
    ids = {"bos_token_id": end, "eos_token_id": end}
    config = transformers.PhiConfig(vocab_size=len(vocabulary) + 5, **ids, **PARTIAL_ROTARY_SHAPE)
    return Made(config, ids, rare=range(end + 1, end + 6))
