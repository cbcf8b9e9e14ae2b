"""Generation wishes of model files and settings."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from alcove.errors import ConfigurationError, ModelLoadError
from alcove.runs import Options
from alcove.store.folder import GenerationDefaults
from alcove.store.generation import generation_from, options_from, own_wishes, read_generation

BART_CNN = {
    "_from_model_config": True,
    "bos_token_id": 0,
    "decoder_start_token_id": 2,
    "early_stopping": True,
    "eos_token_id": 2,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "length_penalty": 2.0,
    "max_length": 142,
    "min_length": 56,
    "no_repeat_ngram_size": 3,
    "num_beams": 4,
    "pad_token_id": 1,
    "transformers_version": "4.27.0.dev0",
}


def write(path: Path, content: Any) -> Path:
    (path / "generation_config.json").write_text(json.dumps(content))
    return path


def test_a_models_own_file(tmp_path: Path) -> None:
    assert read_generation(write(tmp_path, BART_CNN), {"num_beams": 9}, "seq2seq") == GenerationDefaults(
        options=Options(
            num_beams=4, length_penalty=2.0, early_stopping=True, no_repeat_ngram_size=3, min_new_tokens=55
        ),
        max_length=142,
        eos=(2,),
        decoder_start=2,
        forced_bos=0,
        forced_eos=2,
    )


def test_an_older_models_wishes_are_in_its_config(tmp_path: Path) -> None:
    config = {
        "model_type": "marian",
        "d_model": 512,
        "vocab_size": 58101,
        "num_hidden_layers": 6,
        "eos_token_id": 0,
        "decoder_start_token_id": 58100,
        "bad_words_ids": [[58100]],
        "num_beams": 6,
        "max_length": 512,
        "num_return_sequences": 1,
        "task_specific_params": {"summarization": {"num_beams": 2, "min_length": 30}},
    }
    assert read_generation(tmp_path, config, "seq2seq") == GenerationDefaults(
        options=Options(num_beams=6, extra={"bad_words_ids": [[58100]]}),
        max_length=512,
        eos=(0,),
        decoder_start=58100,
    )


def test_nothing_is_made_up_where_nothing_is_said(tmp_path: Path) -> None:
    assert read_generation(tmp_path, {}, "causal") == GenerationDefaults()


def test_several_ends_of_sequence(tmp_path: Path) -> None:
    assert read_generation(write(tmp_path, {"eos_token_id": [7, 9]}), {}, "causal").eos == (7, 9)


@pytest.mark.parametrize("do_sample", [{}, {"do_sample": False}, {"do_sample": None}])
def test_sampling_options_of_a_model_that_does_not_sample_are_left_out(do_sample: dict[str, Any]) -> None:
    wishes = own_wishes({**do_sample, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.1, "num_beams": 2})
    assert options_from(wishes, "causal") == Options(num_beams=2)


def test_a_model_that_samples(tmp_path: Path) -> None:
    given = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1, "min_p": 0.1}
    assert read_generation(write(tmp_path, given), {}, "causal").options == Options(
        temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=1.1, extra={"min_p": 0.1}
    )


def test_what_transformers_samples_with_where_nothing_is_said() -> None:
    """`top_k` 50: `GenerationConfig` itself says None, `generate` fills it in."""
    assert options_from({"do_sample": True}, "causal") == Options(temperature=1.0, top_k=50)
    filled = GenerationConfig._get_default_generation_params()
    assert (filled["temperature"], filled["top_k"], filled["top_p"]) == (1.0, 50, 1.0)


def test_settings_need_not_say_do_sample() -> None:
    assert options_from({"temperature": 0.7, "top_k": 5}, "causal") == Options(temperature=0.7, top_k=5)
    assert options_from({"do_sample": False, "temperature": 0.7, "typical_p": 0.5}, "causal") == Options()


def test_the_shortest_length_counts_the_start_token_and_with_causal_models_the_prompt() -> None:
    assert options_from({"min_length": 10}, "seq2seq") == Options(min_new_tokens=9)
    assert options_from({"min_length": 10, "min_new_tokens": 3}, "seq2seq") == Options(min_new_tokens=3)
    assert options_from({"min_length": 10}, "causal") == Options(extra={"min_length": 10})
    for kind in ("seq2seq", "causal"):
        assert options_from({"min_length": 0}, kind) == Options()


def test_other_options_of_settings_go_on_by_their_own_names() -> None:
    made = options_from({"suppress_tokens": [1], "no_such_option": 3, "early_stopping": "never"}, "seq2seq")
    assert made == Options(early_stopping="never", extra={"suppress_tokens": [1], "no_such_option": 3})
    with pytest.raises(ConfigurationError, match="early_stopping must be true, false"):
        options_from({"early_stopping": "soon"}, "seq2seq")


def test_neutral_values_and_what_is_no_option_are_left_out() -> None:
    neutral = {"diversity_penalty": 0.0, "num_beam_groups": 1, "typical_p": 1.0, "begin_suppress_tokens": None}
    assert options_from({**neutral, "pad_token_id": 0, "max_length": 20}, "seq2seq") == Options()
    defaults = generation_from({"max_new_tokens": 30, "max_length": 20}, "causal")
    assert (defaults.max_new_tokens, defaults.max_length) == (30, 20)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_beams": "4"}, "num_beams must be a whole number, 0 or more, not '4'"),
        ({"num_beams": -1}, "num_beams must be a whole number, 0 or more, not -1"),
        ({"top_k": True}, "top_k must be a whole number"),
        ({"repetition_penalty": [1]}, "repetition_penalty must be a number"),
        ({"eos_token_id": "</s>"}, "eos_token_id must be a token id or a list of them, not '</s>'"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_file(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        read_generation(write(tmp_path, {"do_sample": True, **wrong}), {}, "causal")
    assert str(failure.value).startswith(f"{tmp_path / 'generation_config.json'}: {message}")
    with pytest.raises(ConfigurationError, match=r"config\.json: "):
        read_generation(tmp_path / "older", {"do_sample": True, **wrong}, "causal")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(ModelLoadError, match=r"generation_config\.json is not valid JSON"):
        read_generation(tmp_path, {}, "causal")
