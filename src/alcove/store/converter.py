"""CTranslate2's converter of transformers models, with what it gets wrong under transformers 5 put right.

Imported by `store/convert.py` only when something is converted: needs torch and transformers. Each repair names the
fault; `tests/fidelity/test_ctranslate2.py` holds the results to transformers' own and notices when one heals.
"""

from typing import Any

import transformers  # noqa: F401  # the converter does without until it needs it
from ctranslate2.converters.transformers import TransformersConverter
from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES

__all__ = ["ACCEPTED_MODEL_TYPES", "RepairedConverter"]

BART_SHAPES = {
    # model_type: (normalize_before, normalize_embedding), as transformers' code has them built in
    "bart": (False, True),
    "mbart": (True, True),
    "pegasus": (True, False),
}
"""The converter reads these from config.json, where transformers 5 no longer writes them."""


class RepairedConverter(TransformersConverter):  # type: ignore[misc]  # the base class has no types
    """`convert(folder)` as upstream, through the hooks that upstream offers."""

    def load_model(self, model_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
        """The model, its configuration made to say what the loaders ask it."""
        model = super().load_model(model_class, model_name_or_path, **kwargs)
        config = model.config
        if config.model_type == "t5":
            # The loader takes `tie_word_embeddings` for "scale the output"; transformers 5 sets it to True always.
            config.tie_word_embeddings = config.scale_decoder_outputs
        if config.model_type == "mt5":
            config.tie_word_embeddings = False  # mT5's code never scales
        if config.model_type in BART_SHAPES:
            config.normalize_before, config.normalize_embedding = BART_SHAPES[config.model_type]
        if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
            config.decoder_start_token_id = model.generation_config.decoder_start_token_id
        if config.model_type == "mbart":
            # Only the class name's absence tells the loader that the decoder starts from a language (mBART-25), but
            # transformers 5 leaves it out for mBART-50 too, which starts from the end of sequence.
            starts_from_end = config.decoder_start_token_id == config.eos_token_id
            config.tokenizer_class = "MBart50Tokenizer" if starts_from_end else "MBartTokenizer"
        if config.model_type == "marian" and not config.share_encoder_decoder_embeddings:
            raise NotImplementedError("its source and target vocabularies differ")
        self._config = config
        return model

    def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
        """The tokenizer, remembered for its vocabulary."""
        self._tokenizer = super().load_tokenizer(tokenizer_class, model_name_or_path, **kwargs)
        return self._tokenizer

    def _load(self) -> Any:
        spec = super()._load()
        tokens = self._register_tokens(spec)
        config = spec.config
        # A null token in config.json makes a model that does not load, an unknown one a vocabulary that is too long.
        # Neither is ever used: alcove sends no unknown token and no prompt without its special tokens.
        if config.bos_token is None:
            config.bos_token = config.eos_token
        if config.unk_token not in tokens:
            config.unk_token = config.eos_token
        if config.layer_norm_epsilon is None:  # few loaders set it; null means the layer's usual value
            config.layer_norm_epsilon = getattr(self._config, "layer_norm_epsilon", None)
        if not hasattr(spec, "register_source_vocabulary"):
            # rotary positions leave no trace in the weights
            config.add_attribute("max_position_embeddings", getattr(self._config, "max_position_embeddings", None))
        config.add_attribute("model_type", self._config.model_type)
        return spec

    def _register_tokens(self, spec: Any) -> set[str]:
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
        return set(tokens)
