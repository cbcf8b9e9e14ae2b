"""Trains one built-in model and writes its float16 master.

In: the model's name. Out: `transformers/` in its folder (weights, configurations, tokenizer) and the part of
record.json that says how it was trained. Called by the command line.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import torch
from transformers import PreTrainedModel

from tools.builtin import networks, vocabulary
from tools.builtin.batches import ChatEncoder, Seq2SeqEncoder, make_batches
from tools.builtin.examples import chat_examples, seq2seq_examples
from tools.builtin.record import update_record
from tools.builtin.training import Recipe, train

RECIPES = {
    "alcove-seq2seq": Recipe(steps=10_500, batch_size=32, learning_rate=1.2e-3, seed=1, warm_up=300, betas=(0.9, 0.98)),
    "alcove-chat": Recipe(steps=7_000, batch_size=16, learning_rate=1.5e-3, seed=2),
}


def make_master(name: str, folder: Path, steps: int | None = None) -> None:
    """Train the model of that name and write it; `steps` shortens a trial."""
    torch.set_num_threads(1)
    recipe = RECIPES[name]
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    torch.manual_seed(recipe.seed)
    order = Random(recipe.seed)
    chat = name == "alcove-chat"
    if chat:
        tokenizer = vocabulary.train_chat_tokenizer(recipe.seed)
        model = networks.make_chat(tokenizer.get_vocab_size())
        batches = make_batches(chat_examples(Random(recipe.seed)), ChatEncoder(tokenizer), recipe.batch_size, order)
    else:
        tokenizer = vocabulary.train_seq2seq_tokenizer(recipe.seed)
        model = networks.make_seq2seq(tokenizer.get_vocab_size())
        examples = seq2seq_examples(Random(recipe.seed))
        batches = make_batches(examples, Seq2SeqEncoder(tokenizer), recipe.batch_size, order)
    seconds = train(model, batches, recipe)
    save_master(model, folder / "transformers")
    vocabulary.save_tokenizer(
        tokenizer, folder / "transformers", chat=chat, max_length=model.config.max_position_embeddings
    )
    update_record(folder, parameters=model.num_parameters(), **asdict(recipe), training_seconds=round(seconds))


def save_master(model: PreTrainedModel, folder: Path) -> None:
    """Write weights in float16; the keys that CTranslate2's converter expects of BART are spelled out."""
    model.half().save_pretrained(folder)
    # transformers makes this file readable to its owner alone.
    (folder / "model.safetensors").chmod(0o644)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if config["model_type"] == "bart":
        # Older releases wrote these, newer ones dropped them; the converter fails without.
        config |= {"normalize_before": False, "normalize_embedding": True}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
