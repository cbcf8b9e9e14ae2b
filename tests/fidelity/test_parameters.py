"""Holds docs/parameters.md to the truth: every field is sent to every engine and kind of model.

A field that the table calls honoured must change the answer in the way that it promises; one that it calls refused must
answer 400 and name itself. That the change is exactly the right one is for the other tests of this folder.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alcove.protocol.chat import ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.fields import ACCEPTED, ENGINE_OPTIONS, REFUSED
from alcove.store.convert import convert
from tests.serving import Server, running
from tools import parameters_page

MODELS = {
    "ctranslate2, encoder-decoder": ("t5-untied", "ctranslate2"),
    "ctranslate2, causal": ("llama", "ctranslate2"),
    "transformers, encoder-decoder": ("t5-untied", "transformers"),
    "transformers, causal": ("llama", "transformers"),
}
COLUMNS = dict(zip(MODELS, parameters_page.COLUMNS, strict=True))
ENDS = {"encoder-decoder": 1, "causal": 2}
"""The models' ends of sequence."""
SPECIAL = {"encoder-decoder": 0, "causal": 1}
"""A special token of theirs that ends nothing."""
Fields = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A completion that tells its token ids and their log-probabilities."""

    status: int
    body: Any

    @property
    def choice(self) -> Any:
        assert self.status == 200, self.body
        return self.body["choices"][0]

    @property
    def ids(self) -> list[int]:
        ids: list[int] = self.choice["token_ids"]
        return ids

    @property
    def texts(self) -> set[str]:
        """The texts of all choices."""
        assert self.status == 200, self.body
        return {choice["text"] for choice in self.body["choices"]}

    @property
    def text(self) -> str:
        return str(self.choice["text"])


@dataclass(frozen=True)
class Probe:
    """One request that shows whether a field acts."""

    value: Callable[[Answer], Any]
    """What the field is set to, from the ordinary answer."""
    acts: Callable[[Answer, Answer], bool]
    """Given the answer and the ordinary one: whether the field did what it promises."""
    beside: Fields
    """What both requests have more than the ordinary one."""
    forced: Mapping[str, int] | None = None
    """Tokens, by the kind of model, that a bias makes both answers consist of."""


def changes(value: Any, **beside: Any) -> Probe:
    """A probe whose answer has other tokens."""
    return Probe(lambda _: value, lambda new, old: new.ids != old.ids, beside)


def probe(value: Callable[[Answer], Any], acts: Callable[[Answer, Answer], bool], **beside: Any) -> Probe:
    return Probe(value, acts, beside)


def taken(value: Any, **beside: Any) -> Probe:
    """A probe of a field whose effect no single answer shows; other tests hold it to transformers' own."""
    return Probe(lambda _: value, lambda new, old: len(new.ids) > 0, beside)


def goes_on(value: Any) -> Probe:
    """A probe whose answer goes on where the ordinary one ends at once."""
    return Probe(lambda _: value, lambda new, old: not old.ids and len(new.ids) == 12, {"max_tokens": 12}, forced=ENDS)


SAMPLED = {"temperature": 1.5, "seed": 1}
BEAMS = {"num_beams": 4, "early_stopping": True}
PROBES: dict[str, Probe] = {
    "temperature": changes(2.0, seed=1),
    "do_sample": changes(True, seed=1),
    "top_p": changes(0.05, **SAMPLED),
    "top_k": changes(1, **SAMPLED),
    "min_p": changes(1.0, **SAMPLED),
    "typical_p": changes(0.05, **SAMPLED),
    "top_h": changes(0.05, **SAMPLED),
    "epsilon_cutoff": changes(0.3, **SAMPLED),
    "eta_cutoff": changes(0.5, **SAMPLED),
    "seed": changes(7, temperature=1.5),
    "presence_penalty": changes(2.0),
    "frequency_penalty": changes(2.0),
    "repetition_penalty": changes(5.0),
    "no_repeat_ngram_size": changes(1),
    "logit_bias": probe(lambda old: {str(old.ids[0]): -100}, lambda new, old: old.ids[0] not in new.ids),
    "allowed_token_ids": probe(lambda old: old.ids[1:4], lambda new, old: set(new.ids) <= set(old.ids[1:4])),
    "bad_words_ids": probe(lambda old: [[old.ids[0]]], lambda new, old: old.ids[0] not in new.ids),
    "bad_words": taken(["hello"]),
    "suppress_tokens": probe(lambda old: [old.ids[0]], lambda new, old: old.ids[0] not in new.ids),
    "begin_suppress_tokens": changes([1]),
    "sequence_bias": probe(lambda old: [[[old.ids[0]], -50.0]], lambda new, old: old.ids[0] != new.ids[0]),
    "min_tokens": goes_on(12),
    "min_length": goes_on(200),
    "ignore_eos": goes_on(True),
    "stop_token_ids": probe(lambda old: [old.ids[2]], lambda new, old: new.ids[-1] == old.ids[2] and len(new.ids) <= 3),
    "max_tokens": probe(lambda old: 3, lambda new, old: new.ids == old.ids[:3]),
    "max_new_tokens": probe(lambda old: 3, lambda new, old: new.ids == old.ids[:3], max_tokens=None),
    "num_beams": changes(4),
    "use_beam_search": probe(
        lambda old: True, lambda new, old: len(new.texts) == 4 and len(old.texts) == 1, n=4, num_beams=None
    ),
    "length_penalty": probe(lambda old: -8.0, lambda new, old: new.body != old.body, **BEAMS),
    "early_stopping": taken(True, num_beams=4),
    "n": probe(lambda old: 3, lambda new, old: len(new.body["choices"]) == 3),
    "best_of": probe(
        lambda old: 4,
        lambda new, old: new.body["usage"]["completion_tokens"] > old.body["usage"]["completion_tokens"],
        **SAMPLED,
    ),
    "stop": probe(lambda old: [old.text[3:5]], lambda new, old: new.text == old.text[: old.text.index(old.text[3:5])]),
    "include_stop_str_in_output": probe(
        lambda old: True, lambda new, old: len(new.text) > len(old.text), stop=["e", "a", "o", "t"]
    ),
    "echo": probe(lambda old: True, lambda new, old: new.text.startswith("hello") and new.text.endswith(old.text)),
    "logprobs": probe(lambda old: 2, lambda new, old: len(new.choice["logprobs"]["token_logprobs"]) == len(old.ids)),
    "prompt_logprobs": probe(lambda old: 2, lambda new, old: len(new.choice["prompt_logprobs"]) > 1),
    "return_token_ids": probe(lambda old: False, lambda new, old: "token_ids" not in new.choice),
    "skip_special_tokens": Probe(
        lambda _: False, lambda new, old: old.text == "" and new.text.startswith("<"), {}, forced=SPECIAL
    ),
    "add_special_tokens": probe(
        lambda old: False, lambda new, old: new.body["usage"]["prompt_tokens"] < old.body["usage"]["prompt_tokens"]
    ),
    "truncate_prompt_tokens": probe(lambda old: 4, lambda new, old: new.body["usage"]["prompt_tokens"] == 4),
    "renormalize_logits": taken(True, **BEAMS),
    "remove_invalid_values": taken(True),
    "encoder_no_repeat_ngram_size": changes(1, prompt=[50, 51, 52], logit_bias={"50": 100}),
    "encoder_repetition_penalty": changes(5.0),
    "exponential_decay_length_penalty": changes([1, 9.0]),
    "diversity_penalty": changes(1.0),
    "guidance_scale": changes(2.0),
    "num_beam_groups": changes(2, num_beams=4),
}
"""A probe for every field of completions that acts on the answer."""
ELSEWHERE = {
    *("model", "prompt", "stream", "stream_options", "source_lang", "target_lang", "decoder_prefix"),
    *("messages", "max_completion_tokens", "top_logprobs", "chat_template_kwargs", "continue_final_message"),
    "add_generation_prompt",
}
"""Fields with tests of their own: what a request consists of, languages, and those of chat alone."""


@pytest.fixture(scope="module")
def server(zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("parameters")
    models = []
    for name, (family, layout) in MODELS.items():
        folder = zoo(family)
        if layout == "ctranslate2":
            convert(folder, root / family, "float32")
            folder = root / family
        models.append(f'[[model]]\nname = {json.dumps(name)}\nsource = "{folder}"\nthreads = 1\nworkers = 1\n')
    (root / "alcove.toml").write_text("".join(models))
    with running("serve", cwd=root) as server:
        yield server


def ask(server: Server, model: str, **fields: Any) -> Answer:
    body = {"model": model, "prompt": "hello world and you", "max_tokens": 16, "return_token_ids": True}
    response = server.post("/v1/completions", {**body, "num_beams": 1, **fields})
    return Answer(response.status_code, response.json())


def test_every_field_has_a_probe_or_tests_of_its_own() -> None:
    declared = {*CompletionRequest.model_fields, *ChatRequest.model_fields, *ENGINE_OPTIONS}
    assert PROBES.keys() | ELSEWHERE == declared
    assert not PROBES.keys() & ELSEWHERE


@pytest.mark.parametrize("field", PROBES)
@pytest.mark.parametrize("model", MODELS)
def test_the_table_is_true(server: Server, model: str, field: str) -> None:
    said = parameters_page.cell(field, parameters_page.COLUMNS[COLUMNS[model]])
    asked = PROBES[field]
    beside = dict(asked.beside)
    if asked.forced:
        beside["logit_bias"] = {str(asked.forced[model.partition(", ")[2]]): 100}
    if field == "prompt_logprobs" and "encoder-decoder" in model:
        beside["decoder_prefix"] = "hello world"
    ordinary = ask(server, model, **beside)
    answer = ask(server, model, **{**beside, field: asked.value(ordinary)})
    if said == "refused":
        assert answer.status == 400
        assert answer.body["error"]["param"] == field
    else:
        assert answer.status == 200, answer.body
        assert asked.acts(answer, ordinary), (answer.body, ordinary.body)


@pytest.mark.parametrize("model", MODELS)
def test_accepted_fields_change_nothing(server: Server, model: str) -> None:
    plain = ask(server, model)
    assert ask(server, model, **dict.fromkeys(ACCEPTED, "x")).ids == plain.ids


@pytest.mark.parametrize("field", sorted(REFUSED.keys() - CompletionRequest.model_fields.keys()))
def test_refused_fields_name_themselves_and_neutral_values_are_fine(server: Server, field: str) -> None:
    model = "ctranslate2, causal"
    neutral, _ = REFUSED[field]
    answer = ask(server, model, **{field: {"asks": "something"}})
    assert (answer.status, answer.body["error"]["param"]) == (400, field)
    for value in neutral:
        assert ask(server, model, **{field: value}).status == 200


def test_the_page_is_what_the_source_says() -> None:
    assert parameters_page.PAGE.read_text() == parameters_page.page(), "run: python -m tools.parameters_page"
