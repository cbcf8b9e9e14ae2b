"""The CTranslate2 engine: loading, what it refuses, how rows end. Its answers are in tests/fidelity."""

import json
import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ctranslate2
import pytest

from alcove.config.settings import ModelSettings
from alcove.engines.base import Vocabulary
from alcove.engines.ctranslate2 import load
from alcove.engines.ctranslate2.engine import CTranslate2Engine
from alcove.engines.ctranslate2.tables import Table
from alcove.engines.ctranslate2.thread_state import ThreadStates
from alcove.errors import EngineFailure, InvalidRequest, ModelLoadError
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.runs import DEFAULT_OPTIONS, Options, Run, Step
from alcove.store.convert import convert
from alcove.store.recognise import recognise

from ...sinks import Sink, keep

Converted = Callable[[str], Path]
WORDS = (20, 21, 22, 23)
"""Ids of ordinary tokens in every model of the zoo."""


@pytest.fixture(scope="module")
def converted(zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """`converted(name)`: a model of the zoo in CTranslate2's layout, in int8."""
    root = tmp_path_factory.mktemp("converted")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            convert(zoo(name), root / name)
        return root / name

    return folder


@pytest.fixture(scope="module")
def engines(converted: Converted) -> Callable[[str], CTranslate2Engine]:
    made: dict[str, CTranslate2Engine] = {}

    def engine(name: str) -> CTranslate2Engine:
        if name not in made:
            made[name] = open_engine(converted(name))
        return made[name]

    return engine


Engines = Callable[[str], CTranslate2Engine]


def vocabulary(path: Path) -> Vocabulary:
    tokenizer = load_tokenizer(recognise(path), ModelSettings(name="m", source=str(path)))
    return Vocabulary(tokenizer.source_tokens, tokenizer.target_tokens)


def open_engine(path: Path, **settings: Any) -> CTranslate2Engine:
    asked = ModelSettings(name="m", source=str(path), **{"device": "cpu", "workers": 1, **settings})
    return load(recognise(path), asked, vocabulary(path))


def a_run(options: dict[str, Any] | None = None, **fields: Any) -> Run:
    chosen = Options.of(options or {}).over(DEFAULT_OPTIONS)
    return Run(**{"id": "r", "tokens": WORDS, "max_new_tokens": 6, "options": chosen, **fields})


def steps_of(engine: CTranslate2Engine, *runs: Run) -> list[Step]:
    steps: list[Step] = []
    engine.run(runs, keep(steps))
    return steps


def finished(engine: CTranslate2Engine, run: Run) -> list[Step]:
    """All its steps, however often it comes back."""
    steps: list[Step] = []
    waiting: Sequence[Run] = [run]
    while waiting:
        waiting = engine.run(waiting, keep(steps))
    return steps


# ---- loading


def test_the_machine_decides_how_many_workers_there_are(converted: Converted) -> None:
    assert open_engine(converted("t5"), workers=None).workers >= 1
    assert open_engine(converted("t5"), workers=3).workers == 3


def test_a_type_that_the_machine_lacks_is_named_with_those_it_has(converted: Converted) -> None:
    with pytest.raises(
        ModelLoadError, match=r'compute_type = "int7" is not supported on this cpu: .*float32.*, or auto'
    ):
        open_engine(converted("t5"), compute_type="int7")


@pytest.mark.skipif(ctranslate2.get_cuda_device_count() > 0, reason="is about machines without CUDA")
def test_a_missing_device_is_a_warning_and_when_strict_an_error(
    converted: Converted, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert steps_of(open_engine(converted("t5"), device="cuda:1"), a_run())
    assert "cuda:1 is not in this machine" in caplog.text
    with pytest.raises(ModelLoadError, match='device = "cuda" is not in this machine'):
        open_engine(converted("t5"), device="cuda", strict_device=True)


@pytest.mark.parametrize("device", ["tpu", "cuda:x"])
def test_an_unknown_device_is_an_error(converted: Converted, device: str) -> None:
    with pytest.raises(ModelLoadError, match=f'device = "{device}" is unknown: auto, cpu, cuda or cuda:N'):
        open_engine(converted("t5"), device=device)


def test_a_model_that_the_library_cannot_load_fails_in_one_line(converted: Converted, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(converted("t5"), tmp_path / "t5"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"bos_token": None}))
    with pytest.raises(ModelLoadError, match="t5 cannot be run by CTranslate2: ") as failure:
        open_engine(folder)
    assert "\n" not in str(failure.value)


def test_a_tokenizer_of_another_model_is_noticed(converted: Converted) -> None:
    settings = ModelSettings(name="m", source="m", device="cpu")
    foreign = Vocabulary(("never", "seen"), ("never", "seen"))
    with pytest.raises(ModelLoadError, match="of the tokenizer's 2 tokens CTranslate2's vocabulary has 0: one of them"):
        load(recognise(converted("t5")), settings, foreign)


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_close_releases_the_model_and_its_threads(converted: Converted, name: str) -> None:
    threads = Path("/proc/self/task")
    open_engine(converted(name), workers=1).close()  # the conversion, and the first model, leave threads of their own
    before = len(list(threads.iterdir()))
    engine = open_engine(converted(name), workers=3)
    assert len(list(threads.iterdir())) >= before + 3
    engine.close()
    assert len(list(threads.iterdir())) == before
    with pytest.raises(AttributeError):
        engine.run([a_run()], keep([]))


# ---- what is refused


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_ids_that_the_model_lacks_are_refused_before_the_library_crashes_on_them(engines: Engines, name: str) -> None:
    for tokens in [(20, 99_999), (-1,)]:
        with pytest.raises(InvalidRequest, match=f"token id {tokens[-1]}, which this model does not have") as refusal:
            engines(name).check(a_run(tokens=tokens))
        assert refusal.value.param == "prompt"
    with pytest.raises(InvalidRequest, match="prompt is empty"):
        engines(name).check(a_run(tokens=()))


def test_a_beginning_that_the_model_lacks_is_refused(engines: Engines) -> None:
    for fields, param in [({"forced_bos": 99_999}, "target_lang"), ({"prefix": (99_999,)}, "prompt")]:
        with pytest.raises(InvalidRequest, match="token id 99999, which this model lacks") as refusal:
            engines("nllb").check(a_run(**fields))
        assert refusal.value.param == param


def test_a_decoder_without_a_start_token_needs_a_language(converted: Converted, tmp_path: Path) -> None:
    """facebook/mbart-large-cc25 names none."""
    folder = Path(shutil.copytree(converted("mbart"), tmp_path / "mbart"))
    (folder / "generation_config.json").unlink()
    engine = open_engine(folder)
    with pytest.raises(InvalidRequest, match="'target_lang' is needed") as refusal:
        engine.check(a_run())
    assert refusal.value.param == "target_lang"
    engine.check(a_run(forced_bos=WORDS[0]))


BEAMS = {"num_beams": 3}


@pytest.mark.parametrize(
    ("name", "options", "fields", "param"),
    [
        ("t5", {**BEAMS, "temperature": 0.5}, {}, "temperature"),
        ("t5", {**BEAMS, "repetition_penalty": 1.2}, {}, "repetition_penalty"),
        ("t5", BEAMS, {"prefix": (20,)}, "num_beams"),
        ("t5", BEAMS, {"outputs": 4}, "n"),
        ("t5", {}, {"outputs": 2}, "n"),
        ("t5", {"suppress_tokens": 5}, {}, "suppress_tokens"),
        ("t5", {"suppress_tokens": ["a"]}, {}, "suppress_tokens"),
        ("t5", {"bad_words_ids": [5]}, {}, "bad_words_ids"),
        ("t5", {"bad_words_ids": [[]]}, {}, "bad_words_ids"),
        ("gpt2", {**BEAMS, "no_repeat_ngram_size": 2}, {}, "no_repeat_ngram_size"),
        ("gpt2", {**BEAMS, "bad_words_ids": [[20, 21]]}, {}, "bad_words_ids"),
    ],
)
def test_options_that_do_not_go_together_are_refused_by_name(
    engines: Engines, name: str, options: dict[str, Any], fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"'{param}'") as refusal:
        engines(name).check(a_run(options, **fields))
    assert refusal.value.param == param


DECLARED: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 5,
    "min_p": 0.1,
    "typical_p": 0.9,
    "seed": 7,
    "num_beams": 2,
    "length_penalty": 2.0,
    "early_stopping": True,
    "no_repeat_ngram_size": 2,
    "repetition_penalty": 1.2,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "logit_bias": {30: 1.0},
    "allowed_token_ids": (34, 35, 36),
    "bad_words_ids": ((31,), (32, 33)),
    "suppress_tokens": [30],
    "min_new_tokens": 2,
    "ignore_eos": True,
    "stop_token_ids": (35,),
    "renormalize_logits": True,
}


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_what_is_declared_is_taken(engines: Engines, name: str) -> None:
    """Each by itself, and all at once."""
    engine = engines(name)
    scored = {"logprobs": 2, "prompt_logprobs": 2}
    assert engine.capabilities.engine == "ctranslate2"
    assert engine.capabilities.options.keys() == DECLARED.keys() | scored.keys()
    together = {option: value for option, value in DECLARED.items() if option != "num_beams"}
    runs = [
        *(a_run({option: value}) for option, value in DECLARED.items()),
        *(a_run(**{option: value}) for option, value in scored.items()),
        a_run(together, prefix=() if name == "gpt2" else (20, 21), **scored),
    ]
    for run in runs:
        engine.check(run)
        steps = finished(engine, run)
        assert steps[-1].finish
        assert all(step.logprobs for step in steps) == (run.logprobs is not None)
        given = run.tokens if name == "gpt2" else run.prefix
        assert len(steps[0].prompt_logprobs) == (0 if run.prompt_logprobs is None else len(given))


# ---- batches


def test_runs_share_a_batch_when_the_library_needs_the_same_options(engines: Engines) -> None:
    def alike(name: str, one: Run, other: Run) -> bool:
        return engines(name).batch_key(one) == engines(name).batch_key(other)

    longer = a_run(tokens=(*WORDS, 24), max_new_tokens=9)
    assert alike("t5", a_run(), longer)
    assert not alike("gpt2", a_run(), longer)
    assert alike("gpt2", a_run(), replace(longer, tokens=WORDS))
    # greedy, whatever else the sampling options say
    assert alike("t5", a_run(), a_run({"top_p": 0.5, "top_k": 7}))
    assert not alike("t5", a_run(), a_run({"temperature": 0.5}))
    assert not alike("t5", a_run(), a_run({"repetition_penalty": 1.5}))
    assert not alike("t5", a_run(), a_run({"suppress_tokens": [3]}))
    # lengths count where no callback can end a row, and where the library counts the decoder's prefix
    assert alike("t5", a_run(), a_run(prefix=(20,)))
    assert not alike("t5", a_run({"min_new_tokens": 2}), a_run({"min_new_tokens": 2}, prefix=(20,)))
    assert not alike("t5", a_run(BEAMS), a_run(BEAMS, max_new_tokens=7))


@pytest.mark.parametrize(
    ("compute_type", "options", "mixed"),
    [
        ("float32", {}, True),
        ("int8", {}, False),
        ("int8", {"mixed_lengths": True}, True),
        ("float32", {"mixed_lengths": False}, False),
    ],
)
def test_prompts_of_different_lengths_share_a_batch_where_that_changes_no_rounding(
    converted: Converted, compute_type: str, options: dict[str, Any], mixed: bool
) -> None:
    engine = open_engine(converted("gpt2"), compute_type=compute_type, engine_options=options)
    try:
        one, longer = a_run(), a_run(tokens=(*WORDS, 24))
        assert (engine.batch_key(one) == engine.batch_key(longer)) is mixed
    finally:
        engine.close()


@pytest.mark.parametrize("options", [{"mixed_lenghts": True}, {"mixed_lengths": "yes"}])
def test_options_that_the_engine_lacks_are_named(converted: Converted, options: dict[str, Any]) -> None:
    with pytest.raises(ModelLoadError, match=r"engine_options\.mixed_len"):
        open_engine(converted("gpt2"), engine_options=options)


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_a_row_that_breaks_neither_ends_the_process_nor_the_other_rows(
    engines: Engines, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in the callback would be told to every waiter of the batch, and to the second one by
    `std::terminate`."""
    runs = [a_run(id=str(number), tokens=tuple(t + number for t in WORDS), max_new_tokens=5) for number in range(3)]
    expected = steps_of(engines(name), runs[0], runs[2])
    steps: list[Step] = []

    def sink(step: Step) -> bool:
        if step.run == "1" and step.error is None:
            raise ZeroDivisionError
        steps.append(step)
        return False

    engines(name).run(runs, Sink(sink))
    (failed,) = [step for step in steps if step.run == "1"]
    assert "ZeroDivisionError" in (failed.error or "")
    for run in ("0", "2"):
        assert [step for step in steps if step.run == run] == [step for step in expected if step.run == run]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_news_that_cannot_be_handed_on_fail_the_batch_and_not_the_process(engines: Engines, name: str) -> None:
    class Broken(Sink):
        def flush(self) -> None:
            raise ZeroDivisionError

    runs = [a_run(id=str(number)) for number in range(2)]
    with pytest.raises(EngineFailure, match="could not be handed on"):
        engines(name).run(runs, Broken(lambda step: False))
    assert steps_of(engines(name), runs[0])


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_the_news_of_all_rows_of_a_step_go_out_together(engines: Engines, name: str) -> None:
    sink = Sink(lambda step: False)
    runs = [a_run({"ignore_eos": True}, id=str(number), max_new_tokens=2 + number) for number in range(3)]
    engines(name).run(runs, sink)
    assert [[step.run for step in steps] for steps in sink.handed] == [
        ["0", "1", "2"],
        ["0", "1", "2"],
        ["1", "2"],
        ["2"],
    ]


@pytest.mark.parametrize("kept", [True, False])
def test_the_librarys_threads_keep_their_state_between_callbacks(converted: Converted, kept: bool) -> None:
    """What is local to a thread is in its state. Without help it is gone at the next callback: when that is no longer
    so, `thread_state.py` can go."""
    states, local, seen = ThreadStates(), threading.local(), []
    translator = ctranslate2.Translator(str(converted("t5")), intra_threads=1)

    def callback(step: Any) -> bool:
        if kept:
            states.keep()
        local.calls = getattr(local, "calls", 0) + 1
        seen.append(local.calls)
        return False

    translator.translate_batch(
        [["a", "b"]], beam_size=1, max_decoding_length=4, min_decoding_length=4, callback=callback
    )
    assert len(seen) > 2
    assert seen[1:] == ([*range(2, len(seen) + 1)] if kept else [1] * (len(seen) - 1))


def test_a_source_without_content_has_an_empty_output(engines: Engines) -> None:
    """CTranslate2 does not ask the model (`EncoderDecoderReplica::skip_translation`), nor call back."""
    end = a_run(id="empty", tokens=(1,))
    full = a_run(id="full")
    for options in ({}, BEAMS):
        runs = [replace(run, options=Options.of(options).over(DEFAULT_OPTIONS)) for run in (end, full)]
        steps = steps_of(engines("t5"), *runs)
        (only,) = (step for step in steps if step.run == "empty")
        assert (only.tokens, only.finish) == ((), "stop")
        assert [step.finish for step in steps if step.run == "full"][-1] is not None


@pytest.mark.parametrize("name", ["bart", "gpt2"])
def test_an_end_of_sequence_at_once_is_one_step(engines: Engines, converted: Converted, name: str) -> None:
    (end,) = recognise(converted(name)).generation.eos
    others = [number for number in range(len(vocabulary(converted(name)).target)) if number != end]
    assert steps_of(engines(name), a_run({"suppress_tokens": others})) == [Step(run="r", finish="stop")]


def test_several_tokens_may_end_an_output(converted: Converted, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(converted("gpt2"), tmp_path / "gpt2"))
    (folder / "generation_config.json").write_text('{"eos_token_id": [350, 40]}')
    engine = open_engine(folder)
    for end in (350, 40):
        others = [number for number in range(len(vocabulary(folder).target)) if number != end]
        assert steps_of(engine, a_run({"suppress_tokens": others})) == [Step(run="r", finish="stop")]
        steps = steps_of(engine, a_run({"suppress_tokens": others, "min_new_tokens": 2}))
        assert all(not {350, 40} & set(step.tokens) for step in steps)


# ---- tables


def test_tables_go_by_the_strings_of_the_tokens() -> None:
    table = Table(("a", "b", None, "c", "only here"), ["c", "a", "x", "b"])
    assert [table.string(number) for number in range(6)] == ["a", "b", None, "c", None, None]
    assert [table.library_id(number) for number in range(6)] == [1, 3, None, 0, None, None]
    assert [table.tokenizer_id(number) for number in range(4)] == [3, 0, 2, 1]
    assert table.tokenizer_id_of("b") == 1


def test_rows_that_no_token_names_keep_their_number_though_their_filler_repeats_a_string() -> None:
    """Upstream's conversion of T5 names the rows behind the tokenizer's `<extra_id_0>` again, from 0."""
    table = Table(("a", "<extra_id_0>"), ["a", "<extra_id_0>", "<extra_id_0>", "<unused>"])
    assert [table.tokenizer_id(number) for number in range(4)] == [0, 1, 2, 3]
    assert table.library_id(1) == 1


# ---- CTranslate2's limits that the code leans on; when one of these fails, it has been lifted


def test_pin_the_callback_is_called_for_given_tokens_and_for_the_end(converted: Converted) -> None:
    seen: list[str] = []
    library = ctranslate2.Translator(str(converted("bart")), intra_threads=1)
    tokens = vocabulary(converted("bart")).source
    library.translate_batch(
        [[tokens[number] for number in WORDS]],
        [[tokens[30], tokens[31]]],
        beam_size=1,
        max_decoding_length=4,
        min_decoding_length=0,
        suppress_sequences=[[token] for token in tokens if token != "</s>"],
        callback=lambda step: bool(seen.append(step.token)),
    )
    assert seen == [tokens[30], tokens[31], "</s>"]


def test_pin_unknown_strings_become_unk_silently(converted: Converted) -> None:
    library = ctranslate2.Translator(str(converted("t5")), intra_threads=1)
    (foreign,), (unknown,) = (library.translate_batch([[word]], beam_size=1) for word in ("no such token", "<unk>"))
    assert foreign.hypotheses == unknown.hypotheses


def test_pin_a_beam_search_takes_no_callback(converted: Converted) -> None:
    library = ctranslate2.Translator(str(converted("t5")), intra_threads=1)
    with pytest.raises(ValueError, match="callback function is not compatible"):
        library.translate_batch([["▁a"]], beam_size=2, callback=lambda step: False)
