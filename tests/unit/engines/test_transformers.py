"""The transformers engine: loading, placing, and what it refuses. Its answers are in tests/fidelity."""

import json
import logging
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM

from alcove.config.settings import ModelSettings
from alcove.engines.base import BatchEngine, Vocabulary
from alcove.engines.transformers import load
from alcove.errors import InvalidRequest, ModelLoadError
from alcove.runs import DEFAULT_OPTIONS, Options, Run, Step
from alcove.store.recognise import recognise

from ...sinks import keep

Zoo = Callable[[str], Path]


def open_engine(folder: Path, **settings: Any) -> BatchEngine:
    asked = ModelSettings(name="m", source=str(folder), threads=1, **{"device": "cpu", **settings})
    return load(recognise(folder), asked, Vocabulary((), ()))


def tokens_of(engine: BatchEngine, run: Run) -> tuple[int, ...]:
    engine.check(run)
    steps: list[Step] = []
    engine.run([run], keep(steps))
    assert steps[-1].finish is not None
    return tuple(token for step in steps for token in step.tokens)


def a_run(**fields: Any) -> Run:
    return Run(**{"id": "r", "tokens": (5, 6, 7), "max_new_tokens": 6, **fields})


@pytest.fixture
def copy(zoo: Zoo, tmp_path: Path) -> Callable[[str], Path]:
    """A model of the zoo that a test may break."""
    return lambda name: Path(shutil.copytree(zoo(name), tmp_path / name))


def rewrite(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


# ---- loading


@pytest.mark.parametrize(
    ("wishes", "dtype"),
    [
        ({}, torch.float32),
        ({"compute_type": "float16"}, torch.float16),
        ({"engine_options": {"model": {"torch_dtype": "float16"}}}, torch.float16),
        ({"engine_options": {"model": {"dtype": "bfloat16"}}, "compute_type": "float32"}, torch.bfloat16),
    ],
)
@pytest.mark.parametrize("name", ["bart", "llama"])
def test_every_precision_generates_on_a_cpu(zoo: Zoo, name: str, wishes: dict[str, Any], dtype: torch.dtype) -> None:
    engine = open_engine(zoo(name), **wishes)
    assert engine._model.dtype == dtype  # type: ignore[attr-defined]
    assert tokens_of(engine, a_run())


def test_a_file_in_half_precision_is_float32_on_a_cpu(copy: Callable[[str], Path]) -> None:
    folder = copy("gpt2")
    weights = load_file(folder / "model.safetensors")
    save_file({name: w.half() for name, w in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    rewrite(folder / "config.json", dtype="float16")
    assert open_engine(folder)._model.dtype == torch.float32  # type: ignore[attr-defined]


@pytest.mark.parametrize("where", [{"device": "map"}, {"engine_options": {"model": {"device_map": "auto"}}}])
def test_accelerate_places_the_model_by_a_map(
    zoo: Zoo, where: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        engine = open_engine(zoo("t5"), **where)
    assert "the devices of its map (cpu)" in caplog.text
    assert tokens_of(engine, a_run()) == tokens_of(open_engine(zoo("t5")), a_run())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_missing_device_is_one_warning_or_an_error(zoo: Zoo, device: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_engine(zoo("t5"), device=device)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        f"Model 'm': device '{device}' is not on this machine (0 CUDA devices); cpu it is"
    ]
    assert tokens_of(engine, a_run())
    with pytest.raises(ModelLoadError, match="strict_device"):
        open_engine(zoo("t5"), device=device, strict_device=True)


@pytest.mark.parametrize("wish", ["int8", "load_in_8bit", "compute_type"])
def test_int8_is_one_warning_or_an_error(zoo: Zoo, wish: str, caplog: pytest.LogCaptureFixture) -> None:
    settings: dict[str, Any] = {
        "int8": {"engine_options": {"model": {"torch_dtype": "int8"}}},
        "load_in_8bit": {"engine_options": {"model": {"load_in_8bit": True}}},
        "compute_type": {"compute_type": "int8_float32"},
    }[wish]
    engine = open_engine(zoo("t5"), **settings)
    assert engine._model.dtype == torch.float32  # type: ignore[attr-defined]
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "int8" in warning
    assert "float32 it is" in warning
    with pytest.raises(ModelLoadError, match=r"int8.*strict_device"):
        open_engine(zoo("t5"), strict_device=True, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu"}, "device 'gpu' is unknown"),
        ({"compute_type": "float8"}, "precision 'float8' is unknown"),
        ({"engine_options": {"model": {"trust_remote_code": True}}}, "trust_remote_code.*runs no code"),
        ({"engine_options": {"model": {"use_safetensors": False}}}, "use_safetensors"),
        ({"engine_options": {"model": {"attn_implementation": "someone/kernel"}}}, "code from the Hub"),
        ({"engine_options": {"model": {"quantization_config": {}}}}, "quantization_config: unknown or not allowed"),
        ({"engine_options": {"modle": {}}}, "engine_options.modle"),
        ({"engine_options": {"model": "float16"}}, "engine_options.model: must be a table"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(zoo: Zoo, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelLoadError, match=message) as raised:
        open_engine(zoo("t5"), **settings)
    assert "\n" not in str(raised.value)


def test_arguments_of_a_download_have_no_effect(zoo: Zoo) -> None:
    table = {"revision": "main", "local_files_only": False, "trust_remote_code": False, "attn_implementation": "eager"}
    assert tokens_of(open_engine(zoo("llama"), engine_options={"model": table}), a_run())


def test_a_model_type_that_transformers_lacks_is_one_line(copy: Callable[[str], Path]) -> None:
    folder = copy("t5")
    rewrite(folder / "config.json", model_type="t55")
    with pytest.raises(ModelLoadError, match=r"transformers cannot load .*t55") as raised:
        open_engine(folder)
    assert "\n" not in str(raised.value)


def test_a_folder_that_lacks_a_tensor_is_refused(copy: Callable[[str], Path]) -> None:
    folder = copy("bart")
    weights = load_file(folder / "model.safetensors")
    del weights["model.decoder.layers.1.fc1.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"lack 1 of the model's tensors \(model.decoder.layers.1.fc1.weight"):
        open_engine(folder)


def test_a_broken_weight_file_is_one_line(copy: Callable[[str], Path]) -> None:
    folder = copy("gpt2")
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ModelLoadError, match="is not a whole safetensors file") as raised:
        open_engine(folder)
    assert "\n" not in str(raised.value)


def test_without_torch_the_extra_is_named(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelLoadError, match=r"pip install 'alcove\[transformers\]'"):
        open_engine(zoo("t5"))


def test_the_models_own_generation_config_has_no_say(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    plain = tokens_of(open_engine(folder), a_run())
    rewrite(folder / "generation_config.json", repetition_penalty=9.0, num_beams=3, suppress_tokens=list(plain))
    engine = open_engine(folder)
    assert tokens_of(engine, a_run()) == plain
    own = Run(
        id="r", tokens=(5, 6, 7), max_new_tokens=6, options=recognise(folder).generation.options.over(DEFAULT_OPTIONS)
    )
    assert tokens_of(engine, own) != plain


# ---- what is refused, and what may share a batch


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tokens": ()}, "prompt"),
        ({"tokens": (5, 118)}, "prompt"),
        ({"tokens": (-1,)}, "prompt"),
        ({"prefix": (118,)}, "prompt"),
        ({"outputs": 3, "options": Options(num_beams=2)}, "n"),
        ({"options": Options(temperature=0.5, top_p=1.5)}, "top_p"),
        ({"options": Options(temperature=0.5, top_k=-3)}, "top_k"),
        ({"options": Options(repetition_penalty=-1.0)}, "repetition_penalty"),
        ({"options": Options(extra={"early_stopping": "soon"}, num_beams=2)}, "early_stopping"),
        ({"made": (118,)}, "prompt"),
        ({"options": Options(temperature=1e-9)}, "temperature"),
        ({"options": Options(temperature=1.0, min_p=7)}, "min_p"),
        ({"options": Options.of({"temperature": 1.0, "typical_p": "a"})}, "typical_p"),
        ({"options": Options(temperature=1.0, num_beams=2, seed=1)}, "seed"),
        ({"options": Options(bad_words_ids=((118,),))}, "bad_words_ids"),
        ({"options": Options.of({"bad_words_ids": "word"})}, "bad_words_ids"),
        ({"options": Options(logit_bias={118: 1.0})}, "logit_bias"),
        ({"options": Options(logit_bias={5: float("inf")})}, "logit_bias"),
        ({"options": Options(allowed_token_ids=(5, -1))}, "allowed_token_ids"),
        ({"options": Options(allowed_token_ids=())}, "allowed_token_ids"),
        ({"options": Options(stop_token_ids=(118,))}, "stop_token_ids"),
        ({"options": Options(min_new_tokens=-1)}, "min_tokens"),
        ({"options": Options(presence_penalty=float("nan"))}, "presence_penalty"),
        ({"options": Options(frequency_penalty=float("inf"))}, "frequency_penalty"),
        ({"options": Options(extra={"sequence_bias": [[5]]})}, "sequence_bias"),
        ({"options": Options(extra={"suppress_tokens": [118]})}, "suppress_tokens"),
        ({"options": Options(extra={"exponential_decay_length_penalty": 2})}, "exponential_decay_length_penalty"),
        ({"options": Options(num_beams=2, extra={"renormalize_logits": "yes"})}, "renormalize_logits"),
        ({"options": Options(extra={"encoder_no_repeat_ngram_size": -1})}, "encoder_no_repeat_ngram_size"),
    ],
)
def test_what_transformers_cannot_do_is_refused_by_name(zoo: Zoo, fields: dict[str, Any], param: str) -> None:
    engine = open_engine(zoo("t5"))
    options = fields.get("options", Options()).over(DEFAULT_OPTIONS)
    with pytest.raises(InvalidRequest) as raised:
        engine.check(a_run(**{**fields, "options": options}))
    assert raised.value.param == param


def test_neutral_values_change_nothing(zoo: Zoo) -> None:
    engine = open_engine(zoo("t5"))
    neutral = {"typical_p": 1, "encoder_repetition_penalty": 1, "bad_words_ids": [], "renormalize_logits": False}
    run = a_run(options=Options.of({**neutral, "presence_penalty": 0, "logit_bias": {}}).over(DEFAULT_OPTIONS))
    beams = replace(run, options=replace(run.options, num_beams=2))
    assert engine.batch_key(beams) == engine.batch_key(a_run(options=replace(DEFAULT_OPTIONS, num_beams=2)))
    assert tokens_of(engine, run) == tokens_of(engine, a_run())


def test_capabilities_name_the_encoders_options_for_encoders_only(zoo: Zoo) -> None:
    encoder = {"encoder_repetition_penalty", "encoder_no_repeat_ngram_size"}
    with_encoder = open_engine(zoo("t5")).capabilities.options.keys()
    without = open_engine(zoo("gpt2")).capabilities.options.keys()
    assert with_encoder - without == encoder
    assert {"temperature", "num_beams", "bad_words_ids"} <= without
    assert not {"max_length", "use_cache", "stop_strings", "prompt_lookup_num_tokens"} & with_encoder


def test_runs_share_a_batch_where_one_call_serves_them_all(zoo: Zoo) -> None:
    def share(engine: BatchEngine, one: dict[str, Any], other: dict[str, Any]) -> bool:
        first, second = (
            a_run(**{**fields, "options": fields.get("options", Options()).over(DEFAULT_OPTIONS)})
            for fields in (one, other)
        )
        return engine.batch_key(first) == engine.batch_key(second)

    seq2seq, causal = open_engine(zoo("nllb")), open_engine(zoo("gpt2"))
    longer = {"tokens": (5, 6, 7, 8)}
    beams, ngrams = {"options": Options(num_beams=2)}, {"options": Options(no_repeat_ngram_size=2)}
    searched = {"options": Options(num_beams=2, no_repeat_ngram_size=2)}
    assert share(causal, longer, {"max_new_tokens": 99})
    assert share(seq2seq, {"forced_bos": 261}, {"forced_bos": 262, "forced_eos": 2})
    assert share(causal, {"options": Options(temperature=0.5, seed=1)}, {**ngrams, **longer, "logprobs": 3})
    assert share(seq2seq, {"options": Options(stop_token_ids=(7,))}, {"options": Options(presence_penalty=1.0)})
    assert share(causal, {"made": (5, 6)}, {})
    assert share(seq2seq, beams, {**beams, **longer})
    assert share(causal, searched, {**searched, **longer, "logprobs": 3})
    assert not share(seq2seq, beams, {})
    assert not share(seq2seq, beams, searched)
    assert not share(seq2seq, beams, {**beams, "max_new_tokens": 99})
    assert not share(seq2seq, beams, {**beams, "outputs": 2})
    assert not share(seq2seq, {"prefix": (5,)}, {"prefix": (5, 6)})
    assert not share(seq2seq, {"made": (5,)}, {})


def test_plain_greedy_runs_pay_for_nothing(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(zoo("gpt2"))
    hooks = []
    generate = engine._model.generate  # type: ignore[attr-defined]

    def watched(**arguments: Any) -> Any:
        hooks.append(arguments["logits_processor"])
        return generate(**arguments)

    monkeypatch.setattr(engine._model, "generate", watched)  # type: ignore[attr-defined]
    assert tokens_of(engine, a_run())
    assert tokens_of(engine, a_run(options=Options(stop_token_ids=(9,), seed=3).over(DEFAULT_OPTIONS)))
    assert [len(hook) for hook in hooks] == [0, 0]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_where_the_options_leave_no_token_only_that_row_ends(zoo: Zoo, temperature: float) -> None:
    engine = open_engine(zoo("gpt2"))
    options = Options(allowed_token_ids=(20, 21), no_repeat_ngram_size=1, ignore_eos=True, temperature=temperature)
    steps: list[Step] = []
    runs = [a_run(options=options.over(DEFAULT_OPTIONS)), a_run(id="other")]
    assert not engine.run(runs, keep(steps))
    ended = [step for step in steps if step.run == "r"]
    assert sorted(token for step in ended for token in step.tokens) == [20, 21]
    assert ended[-1].finish == "stop"
    assert tuple(token for step in steps if step.run == "other" for token in step.tokens) == tokens_of(engine, a_run())


def test_nothing_wanted_is_nothing_made(zoo: Zoo) -> None:
    engine = open_engine(zoo("t5"))
    steps: list[Step] = []
    assert not engine.run([a_run(max_new_tokens=0, prefix=(8, 9))], keep(steps))
    assert steps == [Step(run="r", finish="length")]


def test_transformers_scores_beams_only_with_the_scores_of_every_token(zoo: Zoo) -> None:
    """Why `beams.py` is there: when this fails, `sequences_scores` may take its place."""
    model = AutoModelForSeq2SeqLM.from_pretrained(zoo("t5"))
    found = model.generate(torch.tensor([[5, 6, 1]]), num_beams=2, max_new_tokens=3, return_dict_in_generate=True)
    assert found.sequences_scores is None


@pytest.mark.parametrize("name", ["m2m100", "llama"])
def test_workers_do_not_disturb_each_other(zoo: Zoo, name: str) -> None:
    engine = open_engine(zoo(name), workers=3)
    assert engine.workers == 3
    runs = [a_run(tokens=tuple(range(5, 6 + length)), max_new_tokens=30) for length in range(9)]
    alone = [tokens_of(engine, run) for run in runs]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(lambda run: tokens_of(engine, run), runs)) == alone


def test_a_closed_engine_has_let_go_of_its_model(zoo: Zoo) -> None:
    engine = open_engine(zoo("t5"))
    engine.close()
    assert engine._model is None  # type: ignore[attr-defined]
