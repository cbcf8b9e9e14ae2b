"""The shapes of the two networks.

In: a vocabulary size. Out: an untrained transformers model with its generation settings; called by training.
"""

from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

SEQ2SEQ_POSITIONS = 256
CHAT_POSITIONS = 512
_MAX_NEW_TOKENS = 64


def make_seq2seq(vocabulary_size: int) -> PreTrainedModel:
    """Make BART's shape, small; token ids 0 to 3 are `<s> <pad> </s> <unk>`."""
    config = BartConfig(
        vocab_size=vocabulary_size,
        max_position_embeddings=SEQ2SEQ_POSITIONS,
        d_model=128,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_ffn_dim=512,
        dropout=0.0,
        # The default of 0.02 suits a width of 1,024; at this width the decoder then never learns to look at the source.
        init_std=0.07,
        forced_eos_token_id=None,
    )
    model = BartForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, do_sample=False, num_beams=1,
        max_new_tokens=_MAX_NEW_TOKENS,
    )  # fmt: skip
    return model


def make_chat(vocabulary_size: int) -> PreTrainedModel:
    """Make Llama's shape, small; token ids 0 to 2 are `<|endoftext|> <|im_start|> <|im_end|>`."""
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        max_position_embeddings=CHAT_POSITIONS,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=0, pad_token_id=0, eos_token_id=2, do_sample=False, num_beams=1, max_new_tokens=_MAX_NEW_TOKENS
    )
    return model
