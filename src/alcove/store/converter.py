"""CTranslate2's converter of transformers models, with what it gets wrong under transformers 5 put right.

Imported by `store/convert.py` only when something is converted: needs torch and transformers.
"""

from typing import Any

from ctranslate2.converters.transformers import TransformersConverter
from transformers import AutoTokenizer  # the converter does without transformers until it needs it
from transformers.utils import logging

from alcove.store import repairs
from alcove.store.convertible import why_not_config
from alcove.store.witness import Witness


class RepairedConverter(TransformersConverter):  # type: ignore[misc]  # the base class has no types
    """`convert(folder)` as upstream, through the hooks that upstream offers."""

    witness: Witness
    """What the model says before it is converted; known after `convert`."""
    tokens: list[str]
    """The vocabulary that was written; known after `convert`."""

    def load_model(self, model_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
        """The model, its configuration made to say what the loaders ask it."""
        # What is not quantized stays in the type of the weights, and processors lack float16: CTranslate2 would warn at
        # each load. Asking for float16 or bfloat16 still gives just that.
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # whoever converts shows one bar for all of it
        try:
            model = super().load_model(model_class, model_name_or_path, use_safetensors=True, **kwargs).float()
        finally:
            if shown:
                logging.enable_progress_bar()
        if (reason := why_not_config(model.config)) is not None:
            raise NotImplementedError(reason)
        self._tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, trust_remote_code=False)
        self.witness = Witness.of(model, self._tokenizer)  # before the repairs: they change what the model computes
        self._context = repairs.context_of(model.config)
        for repair in repairs.BEFORE:
            repair(model)
        self._config = model.config
        return model

    def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
        """The tokenizer, which is there already."""
        return self._tokenizer

    def _load(self) -> Any:
        spec = super()._load()
        self.tokens = self._register_tokens(spec)
        for repair in repairs.AFTER:
            repair(spec, self._config, frozenset(self.tokens))
        if not hasattr(spec, "register_source_vocabulary"):
            spec.config.add_attribute("max_position_embeddings", self._context)
        spec.config.add_attribute("model_type", self._config.model_type)
        return spec

    def _register_tokens(self, spec: Any) -> list[str]:
        """Give the specification a token string for each row of the model's tables; returns them.

        Upstream lists the tokenizer's strings in the order of their ids, and takes the place in the list for the id:
        wrong where ids have gaps, and its fillers repeat strings that are there already.
        """
        languages = getattr(self._tokenizer, "lang_token_to_id", {})  # M2M100 leaves them out of its vocabulary
        by_id = {i: token for token, i in {**languages, **self._tokenizer.get_vocab()}.items()}
        seq2seq = hasattr(spec, "register_source_vocabulary")
        size = spec.get_target_vocabulary_size() if seq2seq else spec.get_vocabulary_size()
        if self._config.model_type == "marian" and by_id.get(size) != self._tokenizer.pad_token:
            # The loader drops the last row, for in Marian's own models that is <pad>.
            raise NotImplementedError("its <pad> is not the last token")
        tokens = [by_id.get(i, f"<unused_row_{i}>") for i in range(size)]
        if seq2seq:
            spec._vocabularies = {"source": [tokens], "target": [tokens]}
        else:
            spec.register_vocabulary(tokens)
        return tokens
