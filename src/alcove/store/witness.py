"""A conversion's proof: the first token after a prompt, by transformers before it and by CTranslate2 after it.

`store/converter.py` makes a `Witness` of the model it has loaded; `store/convert.py` has it look at what was written,
before the folder gets its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from alcove.store.jsonfile import read_object

PROMPT = "The quick brown fox jumps over the lazy dog."
MOST_TOKENS = 8
"""Of the prompt: fewer than the narrowest window of attention has."""
MARGINS = {"float32": 0.01, "float16": 0.1, "int16": 0.25, "bfloat16": 0.5, "int8": 0.5}
"""How far below the best one the token that CTranslate2 chooses may be in transformers' float32 logits, by the first
part of the quantization's name. In standard deviations of all logits: those of a wrong conversion's token are about 4
below, for it is a token like any other; those of one that rounding has put first are next to none."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What transformers says."""

    prompt: tuple[int, ...]
    """Ids of the source, or of a causal model's prompt."""
    start: int | None
    """The id that the decoder starts from; None for a causal model."""
    logits: "np.ndarray[Any, np.dtype[np.float32]]"
    """Of the token that comes first, without any forced one: (vocabulary,)."""

    @classmethod
    def of(cls, model: Any, tokenizer: Any) -> "Witness":
        """Ask a model of transformers, whose weights are float32."""
        import torch

        prompt = tuple(tokenizer(PROMPT).input_ids[:MOST_TOKENS])
        inputs = {"input_ids": torch.tensor([prompt])}
        start = None
        if model.config.is_encoder_decoder:
            start = model.generation_config.decoder_start_token_id
            if start is None:
                start = model.config.decoder_start_token_id
            inputs["decoder_input_ids"] = torch.tensor([[start]])
        with torch.no_grad():
            return cls(prompt, start, model(**inputs).logits[0, -1].numpy())

    def objection(self, folder: Path, tokens: Sequence[str], quantization: str) -> str | None:
        """Why the conversion in `folder`, whose vocabulary is `tokens`, is not the model; None when it is."""
        theirs = self.first_logits(folder, tokens)
        ours = self.logits[: len(theirs)]  # a conversion may have left out the padding's row
        chosen, best = int(theirs.argmax()), int(ours.argmax())
        gap, spread = float(ours[best] - ours[chosen]), float(ours.std())
        if np.isfinite(theirs).all() and gap <= MARGINS[quantization.partition("_")[0]] * spread:
            return None
        return (
            f"its first token after '{PROMPT}' is {tokens[chosen]!r}, where transformers has {tokens[best]!r} "
            f"({gap / spread:.1f} standard deviations above it)"
        )

    def first_logits(self, folder: Path, tokens: Sequence[str]) -> "np.ndarray[Any, Any]":
        """What CTranslate2 makes of the same prompt with the model in `folder`, computing in float32."""
        taken: list[Any] = []

        def take(step: Any) -> bool:
            if not taken:
                taken.append(np.array(step.logits)[0])
            return True

        prompt = [tokens[i] for i in self.prompt]
        options = {"beam_size": 1, "callback": take, "return_logits_vocab": True}
        if self.start is None:
            generator = ctranslate2.Generator(str(folder), compute_type="float32", intra_threads=1)
            generator.generate_batch([prompt], max_length=1, include_prompt_in_result=False, **options)
        else:
            translator = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)
            known = read_object(folder / "config.json").get("decoder_start_token") is not None
            translator.translate_batch(
                [prompt],
                None if known else [[tokens[self.start]]],  # mBART's is told with each request
                max_decoding_length=1,
                min_decoding_length=0,
                max_input_length=0,
                **options,
            )
        return taken[0]  # type: ignore[no-any-return]  # the library has no types
