"""Scores and prompt log-probabilities of real models on both engines, against a forward pass of transformers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from alcove.store.convert import convert
from tests.serving import Server, running

LAYOUTS = ("transformers", "ctranslate2")
FAMILIES = ("gpt2", "llama", "t5", "bart")
QUESTION, ANSWERS = "The quick brown fox", [" jumps over", " hello world", " d"]


@pytest.fixture(scope="module")
def folders(zoo: Callable[[str], Path]) -> dict[str, Path]:
    return {family: zoo(family) for family in FAMILIES}


@pytest.fixture(scope="module")
def server(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("scores")
    lines = ""
    for family, folder in folders.items():
        convert(folder, root / family, "float32")
        for layout, source in (("transformers", folder), ("ctranslate2", root / family)):
            lines += f'[[model]]\nname = "{family}/{layout}"\nsource = "{source}"\n'
            lines += 'threads = 1\ncompute_type = "float32"\n'
    (root / "alcove.toml").write_text(lines)
    with running("serve", cwd=root) as server:
        yield server


def reference(folder: Path, family: str, answer: str) -> list[float]:
    """Log-probabilities of an answer's tokens: behind the question, or as the decoder's whole output."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    kind = AutoModelForSeq2SeqLM if family in ("t5", "bart") else AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    source = tokenizer(QUESTION, return_tensors="pt").input_ids
    with torch.no_grad():
        if kind is AutoModelForCausalLM:
            whole = tokenizer(QUESTION + answer, return_tensors="pt").input_ids
            known = source.shape[1]
            assert whole[0, :known].tolist() == source[0].tolist()
            logits, labels = model(whole).logits[0, known - 1 : -1], whole[0, known:]
        else:
            text = tokenizer(answer, add_special_tokens=False).input_ids
            forced = model.generation_config.forced_bos_token_id
            head = [] if forced is None else [forced]
            labels = torch.tensor([*head, *text, model.config.eos_token_id])
            logits = model(input_ids=source, labels=labels[None]).logits[0]
            logits, labels = logits[len(head) :], labels[len(head) :]
    return torch.log_softmax(logits, -1).gather(1, labels[:, None])[:, 0].tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_scores(server: Server, folders: dict[str, Path], family: str, layout: str) -> None:
    expected = [reference(folders[family], family, answer) for answer in ANSWERS]
    fields = {"model": f"{family}/{layout}", "text_1": QUESTION, "text_2": ANSWERS}
    for normalize, numbers in (
        ("sum", [sum(known) for known in expected]),
        ("mean", [sum(known) / len(known) for known in expected]),
    ):
        response = server.post("/v1/score", {**fields, "normalize": normalize})
        assert response.status_code == 200, response.text
        assert [one["score"] for one in response.json()["data"]] == pytest.approx(numbers, abs=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_an_echoed_prompt(server: Server, folders: dict[str, Path], family: str, layout: str) -> None:
    """What lm-evaluation-harness sends and reads: the tokens behind the question, the one that is made left out."""
    expected = reference(folders[family], family, ANSWERS[0])
    body = {"model": f"{family}/{layout}", "prompt": QUESTION + ANSWERS[0], "echo": True, "logprobs": 1}
    for limit in (0, 1):
        response = server.post("/v1/completions", {**body, "max_tokens": limit, "temperature": 0, "seed": 1234})
        assert response.status_code == 200, response.text
        told = response.json()["choices"][0]["logprobs"]
        numbers = told["token_logprobs"][:-1] if limit else told["token_logprobs"]
        assert numbers[-len(expected) :] == pytest.approx(expected, abs=1e-3)
        assert numbers[0] is None or numbers[0] <= 0
        assert told["text_offset"][0] == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_seeds(server: Server, layout: str) -> None:
    client = openai.OpenAI(base_url=server.api, api_key="none", max_retries=0)

    def texts(**fields: int) -> list[str]:
        answer = client.completions.create(
            model=f"gpt2/{layout}", prompt=QUESTION, temperature=1.5, max_tokens=8, **fields
        )
        return [choice.text for choice in answer.choices]

    three = texts(n=3, seed=11)
    assert len(set(three)) == 3
    assert three == texts(n=3, seed=11)
    assert three[1:] == texts(n=2, seed=12), "choice i has the seed + i"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_best_of_several(server: Server, layout: str) -> None:
    fields = {"model": f"gpt2/{layout}", "prompt": QUESTION, "temperature": 1.5, "max_tokens": 6, "logprobs": 0}
    every = server.post("/v1/completions", {**fields, "seed": 5, "n": 6}).json()
    best = server.post("/v1/completions", {**fields, "seed": 5, "n": 2, "best_of": 6}).json()

    def mean(choice: dict[str, dict[str, list[float]]]) -> float:
        numbers = choice["logprobs"]["token_logprobs"]
        return sum(numbers) / len(numbers)

    ranked = sorted(every["choices"], key=mean, reverse=True)
    assert [choice["text"] for choice in best["choices"]] == [choice["text"] for choice in ranked[:2]]
    assert best["usage"] == every["usage"]
