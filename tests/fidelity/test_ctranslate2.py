"""The CTranslate2 engine on converted float32 weights gives what transformers gives on the original ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ctranslate2
import pytest
import torch
from ctranslate2.converters import TransformersConverter

from alcove.engines.ctranslate2 import load
from alcove.runs import Options, Run

from ..zoo.text import PROMPTS
from .driving import GREEDY, Folders, Open, Opened, assert_right, convert_all, open_all, p_value, run_all

SEQ2SEQ = ("t5", "t5-untied", "bart", "marian", "m2m100", "nllb", "mbart", "mbart50")
CAUSAL = ("gpt2", "opt", "llama", "qwen2")
LANGUAGES = {"m2m100": "__de__", "nllb": "fra_Latn", "mbart50": "de_DE"}
"""Where the output begins with a language."""


@pytest.fixture(scope="module")
def converted(zoo: Folders, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """`converted(name)`: a model of the zoo in CTranslate2's layout."""
    return convert_all(zoo, tmp_path_factory.mktemp("converted"))


@pytest.fixture(scope="module")
def opened(zoo: Folders, converted: Folders) -> Open:
    """`opened(name)`: the converted model in the engine, the original in the oracle."""
    return open_all(load, zoo, converted)


def forced_bos(model: Opened, name: str) -> int | None:
    if name in LANGUAGES:
        token: int = model.reference.tokenizer.convert_tokens_to_ids(LANGUAGES[name])
        return token
    return model.folder.generation.forced_bos


def runs_for(model: Opened, name: str, options: Options = GREEDY, max_new_tokens: int = 24, **fields: Any) -> list[Run]:
    first = forced_bos(model, name)
    return [model.run_for(text, max_new_tokens, options, forced_bos=first, **fields) for text in PROMPTS]


@pytest.mark.parametrize("name", [*SEQ2SEQ, *CAUSAL])
def test_greedy_is_that_of_generate_alone_and_batched(opened: Open, name: str) -> None:
    model = opened(name)
    runs = [
        replace(run, max_new_tokens=run.max_new_tokens - 4 * number) for number, run in enumerate(runs_for(model, name))
    ]
    assert len({len(run.tokens) for run in runs}) > 2
    if name in SEQ2SEQ:
        assert len({model.engine.batch_key(run) for run in runs}) == 1
    assert_right(model, runs, run_all(model.engine, runs))
    for run in runs[:2]:
        assert_right(model, [run], run_all(model.engine, [run]))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_causal_rows_of_any_length_share_a_batch(opened: Open, name: str) -> None:
    """What longer prompts have beyond the shortest goes through the library's steps, while shorter ones answer."""
    model = opened(name)
    tokens = model.reference.encode(PROMPTS[1])
    runs = [replace(model.run_for("", 10 + 5 * n), tokens=tokens[: 2 + 3 * n]) for n in range(4)]
    assert len({model.engine.batch_key(run) for run in runs}) == 1
    for order in (runs, runs[::-1]):
        assert_right(model, order, run_all(model.engine, order))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"repetition_penalty": 1.3}])
def test_a_shared_beginning_changes_nothing(opened: Open, name: str, options: dict[str, Any]) -> None:
    """Its state is kept by the library: the first call makes it, the others take it."""
    model = opened(name)
    tokens = model.reference.encode(PROMPTS[1])
    asked = Options.of(options).over(GREEDY)
    runs = [
        replace(model.run_for("", 12, asked), tokens=(*tokens[:6], *tokens[n : 2 * n + 1]), shared=6) for n in range(4)
    ]
    for _ in range(2):
        assert_right(model, runs, run_all(model.engine, runs))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_causal_rows_whose_logits_are_read_are_of_one_length(opened: Open, name: str) -> None:
    """The library tells of a row's logits only from its own first token on, but gives those of all rows."""
    model = opened(name)
    tokens = model.reference.encode(PROMPTS[1])
    one, longer = (replace(model.run_for("", 10), tokens=tokens[:length]) for length in (9, 10))
    key = model.engine.batch_key
    assert key(one) == key(longer)
    assert key(replace(one, logprobs=2)) != key(replace(longer, logprobs=2))
    # beside a prompt of one token the library would give the others' rests back
    assert key(one) != key(replace(one, tokens=tokens[:1]))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_prompts_of_one_token_are_not_given_back(opened: Open, name: str) -> None:
    """With include_prompt_in_result=False the library gives prompts back all the same when one has one token."""
    model = opened(name)
    runs = [replace(model.run_for("", 8), tokens=(token,)) for token in (40, 41, 77)]
    assert_right(model, runs, run_all(model.engine, runs))


def test_rows_of_one_batch_have_their_own_target_languages(opened: Open) -> None:
    model = opened("nllb")
    ids = model.reference.tokenizer.convert_tokens_to_ids(["fra_Latn", "deu_Latn", "jpn_Jpan"])
    runs = [model.run_for(PROMPTS[1], 15, forced_bos=language) for language in ids]
    assert len({model.engine.batch_key(run) for run in runs}) == 1
    got = run_all(model.engine, runs)
    assert_right(model, runs, got)
    assert len({got.tokens(run.id) for run in runs}) > 1


def test_a_decoder_that_starts_from_a_language_takes_that_of_the_run(opened: Open) -> None:
    model = opened("mbart")
    french = model.reference.tokenizer.convert_tokens_to_ids("fr_XX")
    run = model.run_for(PROMPTS[1], 20, forced_bos=french)
    got = run_all(model.engine, [run])
    inputs = torch.tensor([run.tokens])
    expected = model.reference.model.generate(
        inputs, attention_mask=torch.ones_like(inputs), decoder_start_token_id=french, max_new_tokens=20
    )[0].tolist()
    assert got.tokens(run.id) == tuple(token for token in expected[1:] if token != 2)


@pytest.mark.parametrize("name", ["t5-untied", "bart", "nllb", "mbart"])
def test_the_decoder_goes_on_from_a_prefix(opened: Open, name: str) -> None:
    model = opened(name)
    first = forced_bos(model, name)
    runs = [
        model.run_for(text, 14, prefix=prefix, forced_bos=first) for text in PROMPTS for prefix in [(40,), (41, 50, 60)]
    ]
    assert len({model.engine.batch_key(run) for run in runs}) == 1
    assert_right(model, runs, run_all(model.engine, runs))


@pytest.mark.parametrize(("name", "limit"), [("bart", 1), ("bart", 6), ("marian", 6), ("mbart50", 3)])
def test_the_last_token_is_forced_at_each_rows_own_limit(opened: Open, name: str, limit: int) -> None:
    model = opened(name)
    runs = [model.run_for(PROMPTS[0], limit + more, forced_bos=forced_bos(model, name)) for more in range(3)]
    assert all(run.forced_eos is not None for run in runs)
    got = run_all(model.engine, runs)
    assert_right(model, runs, got)
    assert [len(got.tokens(run.id)) for run in runs] == [limit - 1, limit, limit + 1]


@pytest.mark.parametrize("name", [*SEQ2SEQ, *CAUSAL])
@pytest.mark.parametrize("length_penalty", [1.0, 0.4])
def test_beam_outputs_and_scores_are_those_of_generate(opened: Open, name: str, length_penalty: float) -> None:
    model = opened(name)
    search = Options(
        temperature=0.0, num_beams=4, early_stopping=True, length_penalty=length_penalty, repetition_penalty=1.0
    )
    runs = runs_for(model, name, search, 14, outputs=3)
    assert_right(model, runs, run_all(model.engine, runs), score_tolerance=1e-3)


@pytest.mark.parametrize("max_new_tokens", [8, 11, 14, 30])
def test_beams_with_a_forced_end(opened: Open, max_new_tokens: int) -> None:
    """Some outputs end by themselves before the limit, some at it."""
    model = opened("marian")
    search = Options(temperature=0.0, num_beams=4, early_stopping=True)
    runs = runs_for(model, "marian", search, max_new_tokens)
    assert len({model.engine.batch_key(run) for run in runs}) == 1
    assert_right(model, runs, run_all(model.engine, runs), score_tolerance=1e-3)


Option = Callable[[tuple[int, ...]], dict[str, Any]]
OPTIONS: dict[str, Option] = {
    "no-repeat-1": lambda made: {"no_repeat_ngram_size": 1},
    "no-repeat-2": lambda made: {"no_repeat_ngram_size": 2},
    "no-repeat-3": lambda made: {"no_repeat_ngram_size": 3},
    "repetition": lambda made: {"repetition_penalty": 1.6},
    "reward": lambda made: {"repetition_penalty": 0.7},
    "min": lambda made: {"min_new_tokens": min(len(made) + 3, 24)},
    "bad-words": lambda made: {"bad_words_ids": [[made[0]], [made[3], made[4]]]},
    "long-bad-word": lambda made: {"bad_words_ids": [made[:5]]},
    "suppress": lambda made: {"suppress_tokens": [made[0], made[2]]},
}


CASES = [
    (name, option)
    for name in (*SEQ2SEQ, *CAUSAL)
    for option in OPTIONS
    # transformers penalises the decoder's start token, too, which is the end of sequence of BART and its kin
    if option in ("repetition", "reward") or name in ("t5", "t5-untied", "bart", "nllb", *CAUSAL)
]


@pytest.mark.parametrize(("name", "option"), CASES)
def test_options_act_as_in_generate(opened: Open, name: str, option: str) -> None:
    model = opened(name)
    greedy = replace(GREEDY, repetition_penalty=1.0)
    plain = runs_for(model, name, greedy)
    before = run_all(model.engine, plain)
    made = max((before.tokens(run.id) for run in plain), key=len)
    asked = Options.of(OPTIONS[option](made))
    assert asked.given().keys() <= model.engine.capabilities.options.keys()
    runs = runs_for(model, name, asked.over(greedy))
    after = run_all(model.engine, runs)
    assert_right(model, runs, after)
    if option not in ("no-repeat-3", "min"):
        assert any(before.tokens(one.id) != after.tokens(other.id) for one, other in zip(plain, runs, strict=True))


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("ban", [{"no_repeat_ngram_size": 2}, {"min_new_tokens": 14}])
def test_bans_in_a_beam_search_share_out_what_they_take(opened: Open, name: str, ban: dict[str, Any]) -> None:
    """As in transformers with `renormalize_logits`; by its default it leaves the banned probability lost, which lowers
    the scores. CTranslate2 has no such choice."""
    model = opened(name)
    search = Options.of({"temperature": 0.0, "num_beams": 4, "early_stopping": True, **ban})
    runs = runs_for(model, name, replace(search, extra={"renormalize_logits": True}), 16)
    got = run_all(model.engine, runs)
    assert_right(model, runs, got, score_tolerance=1e-3)
    lost = [model.reference.answer(replace(run, options=replace(run.options, extra={})))[0].score for run in runs]
    assert any(score < got.last(run.id).score - 1e-3 for run, score in zip(runs, lost, strict=True))


def test_the_first_token_of_a_prompt_is_penalised_though_the_library_does_not_see_it(opened: Open) -> None:
    """Prompts that begin with a token that the model would choose next: only with its penalty it does not."""
    model = opened("gpt2")
    answers = run_all(model.engine, [model.run_for(text) for text in PROMPTS])
    firsts = {token for run, _ in answers.steps for token in answers.tokens(run)}
    options = replace(GREEDY, repetition_penalty=1.3)
    runs = [
        replace(model.run_for("", 24, options), tokens=(first, *(token for token in made if token != first)))
        for first in firsts
        for made in [model.reference.encode(PROMPTS[0])]
    ]
    contested = [run for run in runs if _contested(model, run)]
    assert len(contested) > 5
    assert_right(model, runs, run_all(model.engine, runs))


def _contested(model: Opened, run: Run) -> bool:
    """Whether the answer would differ if the first token had no penalty: then it is chosen somewhere."""
    answer = model.reference.answer(run)[0].tokens
    for place in range(len(answer)):
        probabilities = model.reference.next_log_probabilities(run, answer[:place])
        if int(probabilities.argmax()) == run.tokens[0]:
            return True
    return False


@pytest.mark.parametrize("name", CAUSAL)
def test_a_reward_for_repetition_is_for_all_of_a_prompt(opened: Open, name: str) -> None:
    """Its first token included, whether it occurs again or not."""
    model = opened(name)
    run = model.run_for(PROMPTS[0], 24, replace(GREEDY, repetition_penalty=0.7))
    prompts = [run.tokens, (run.tokens[-1], *run.tokens), tuple(dict.fromkeys(run.tokens))]
    runs = [replace(run, id=str(number), tokens=tokens) for number, tokens in enumerate(prompts)]
    assert_right(model, runs, run_all(model.engine, runs))


@pytest.mark.parametrize("name", CAUSAL)
def test_words_that_begin_in_the_prompt_are_seen(opened: Open, name: str) -> None:
    model = opened(name)
    plain = model.run_for(PROMPTS[0])
    first = run_all(model.engine, [plain]).tokens(plain.id)[0]
    banned = Options.of({"bad_words_ids": [[*plain.tokens[-4:], first]]})
    repeated = (*plain.tokens[-4:], first, *plain.tokens)
    runs = [
        model.run_for(PROMPTS[0], options=banned.over(GREEDY)),
        replace(model.run_for("", options=replace(GREEDY, no_repeat_ngram_size=5)), tokens=repeated),
    ]
    got = run_all(model.engine, runs)
    assert_right(model, runs, got)
    assert all(first not in got.tokens(run.id)[:1] for run in runs)


@pytest.mark.parametrize("name", ["t5", "llama"])
def test_a_row_that_nobody_wants_ends_and_leaves_the_others_alone(opened: Open, name: str) -> None:
    model = opened(name)
    tokens = model.reference.encode(PROMPTS[1])
    runs = [replace(model.run_for("", 20), tokens=tokens[n : n + 9]) for n in range(4)]
    left = next(run for run in runs if len(model.reference.answer(run)[0].tokens) > 3)
    got = run_all(model.engine, runs, leave_after={left.id: 3})
    assert len(got.tokens(left.id)) == 3
    assert got.last(left.id).finish is None
    assert_right(model, [run for run in runs if run is not left], got)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("t5", Options(temperature=1.0)),
        ("gpt2", Options(temperature=0.6, top_k=12)),
        ("llama", Options(temperature=1.3, top_p=0.7)),
        ("gpt2", Options(temperature=1.0, repetition_penalty=3.0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.given()),
)
def test_sampled_tokens_have_the_models_distribution(opened: Open, name: str, options: Options) -> None:
    model = opened(name)
    draws = 3000
    one = model.run_for(PROMPTS[0], 1, replace(options, num_beams=1))
    if options.repetition_penalty is not None:  # the most probable token first, whose penalty is alcove's own affair
        best = int(model.reference.next_log_probabilities(one, ()).argmax())
        one = replace(one, tokens=(best, *(token for token in one.tokens if token != best)))
    runs = [replace(one, id=str(number)) for number in range(draws)]
    got = run_all(model.engine, runs)
    with torch.no_grad():
        start = {"decoder_input_ids": torch.tensor([[0]])} if name == "t5" else {}
        logits = model.reference.model(input_ids=torch.tensor([one.tokens]), **start).logits[0, -1]
    counts = torch.zeros(len(logits))
    for run in runs:
        counts[next(iter(got.tokens(run.id)), model.folder.generation.eos[0])] += 1
    expected = _distribution(logits, one) * draws
    assert counts[expected == 0].sum() == 0
    assert p_value(counts, expected) > 1e-4


def _distribution(logits: torch.Tensor, run: Run) -> torch.Tensor:
    """Penalty, temperature, then the options' cut, written out."""
    options = run.options
    for token in set(run.tokens) if options.repetition_penalty != 1.0 else ():
        logits[token] *= 1 / options.repetition_penalty if logits[token] > 0 else options.repetition_penalty
    probabilities = (logits / options.temperature).softmax(dim=-1)
    ordered, order = probabilities.sort(descending=True)
    kept = options.top_k or len(ordered)
    if options.top_p < 1:
        kept = min(kept, int((ordered.cumsum(dim=-1) < options.top_p).sum()) + 1)
    probabilities[order[kept:]] = 0
    return probabilities / probabilities.sum()


@pytest.mark.parametrize("name", ["t5", "t5-untied", "bart", "nllb", "llama"])
def test_log_probabilities_of_converted_models(opened: Open, converted: Folders, name: str) -> None:
    """Greedy tokens would not show a wrong scale of the logits; beams and samples depend on it."""
    assert _furthest_log_probability(opened(name), converted(name)) < 1e-4


def test_the_repair_of_untied_t5_is_still_needed(opened: Open, zoo: Folders, tmp_path: Path) -> None:
    """Fails when CTranslate2's converter no longer takes T5's forced `tie_word_embeddings` for a scaled output: then
    `store/converter.py` need not set it any more."""
    TransformersConverter(str(zoo("t5-untied"))).convert(str(tmp_path / "plain"), quantization="float32")
    assert _furthest_log_probability(opened("t5-untied"), tmp_path / "plain") > 0.1


@pytest.mark.parametrize("name", ["bart", "mbart"])
def test_the_repair_of_barts_family_is_still_needed(zoo: Folders, tmp_path: Path, name: str) -> None:
    with pytest.raises(AttributeError, match="normalize_before"):
        TransformersConverter(str(zoo(name))).convert(str(tmp_path / "plain"), quantization="float32")


def _furthest_log_probability(model: Opened, folder: Path) -> float:
    """The largest difference over an answer's tokens, as the library itself scores them."""
    run = model.run_for(PROMPTS[1], 16, forced_bos=forced_bos(model, folder.name))
    answer = model.reference.answer(run)[0].tokens
    forced = () if run.forced_bos is None else (run.forced_bos,)
    strings = model.reference.tokenizer.convert_ids_to_tokens
    if model.folder.kind == "seq2seq":
        library = ctranslate2.Translator(str(folder), intra_threads=1)
        (scores,) = library.score_batch([strings(run.tokens)], [strings([*forced, *answer])])
        got = scores.log_probs[len(forced) : len(forced) + len(answer)]
    else:
        library = ctranslate2.Generator(str(folder), intra_threads=1)
        (scores,) = library.score_batch([strings([*run.tokens, *answer])])
        got = scores.log_probs[-len(answer) :]
    expected = [
        float(model.reference.next_log_probabilities(run, answer[:place])[token]) for place, token in enumerate(answer)
    ]
    return max(abs(mine - theirs) for mine, theirs in zip(got, expected, strict=True))
