"""What crosses the engine port must be able to cross a process border too."""

import msgspec

from alcove.runs import Fault, Options, Run, Step, TokenLogprob


def test_runs_and_steps_survive_msgpack() -> None:
    run = Run(
        id="a", tokens=(1, 2), max_new_tokens=3, prefix=(4,), forced_bos=5, forced_eos=6, outputs=2,
        options=Options(temperature=0.5, num_beams=2, extra={"bad_words_ids": [[1, 2]]}),
    )  # fmt: skip
    step = Step(
        run="a", output=1, tokens=(7, 8), finish="stop", score=-0.25, began=True, error="no",
        logprobs=(TokenLogprob(-0.5, ((7, -0.5),)),), prompt_logprobs=(None, TokenLogprob(-1.0)),
        fault=Fault(kind="invalid", param="prompt", code="invalid_value"),
    )  # fmt: skip
    for plain, kind in ((run, Run), (step, Step)):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(plain), type=kind) == plain


def test_options_yield_to_what_was_asked() -> None:
    asked = Options(temperature=0.0, extra={"min_p": 0.1})
    defaults = Options(temperature=1.0, top_k=5, extra={"min_p": 0.2, "typical_p": 0.9})
    assert asked.over(defaults) == Options(temperature=0.0, top_k=5, extra={"min_p": 0.1, "typical_p": 0.9})
    assert Options.of({"top_k": 5, "min_p": 0.1}).given() == {"top_k": 5, "min_p": 0.1}
