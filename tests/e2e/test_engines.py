"""Both engines behind the real server, asked by the real client: what comes out is what transformers would say."""

from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from alcove.store.convert import convert
from tests.serving import Server, running

FAMILIES = {
    "t5": "seq2seq",
    "t5-untied": "seq2seq",
    "marian": "seq2seq",
    "nllb": "seq2seq",
    "gpt2": "causal",
    "llama": "causal",
}
LAYOUTS = ("transformers", "ctranslate2")
PROMPTS = ["The quick brown fox", "hello world, grüß dich", "日本語 and then some more words to make it longer"]
MAX_TOKENS = 24
FRENCH = {"nllb": {"source_lang": "eng_Latn", "target_lang": "fra_Latn"}}


@pytest.fixture(scope="module")
def folders(zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Each family in both layouts, the same float32 weights."""
    root = tmp_path_factory.mktemp("converted")
    found = {(family, "transformers"): zoo(family) for family in FAMILIES}
    for family in FAMILIES:
        convert(zoo(family), root / family, "float32")
        found[family, "ctranslate2"] = root / family
    return found


@pytest.fixture(scope="module")
def server(folders: dict[tuple[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with every family on each engine, both recognised from the folder."""
    root = tmp_path_factory.mktemp("engines")
    models = "".join(
        f'[[model]]\nname = "{family}/{layout}"\nsource = "{folder}"\nthreads = 1\ncompute_type = "float32"\n'
        for (family, layout), folder in folders.items()
    )
    (root / "alcove.toml").write_text(models)
    with running("serve", cwd=root) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.api, api_key="none", max_retries=0)


def reference(folder: Path, kind: str, prompt: str, source_lang: str = "", target_lang: str = "") -> tuple[str, int]:
    """Text and token count of transformers' own greedy answer."""
    tokenizer = AutoTokenizer.from_pretrained(folder, **({"src_lang": source_lang} if source_lang else {}))
    model = (AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM).from_pretrained(
        folder, dtype=torch.float32
    )
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    forced = {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(target_lang)} if target_lang else {}
    limit = MAX_TOKENS + bool(forced)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        num_beams=1,
        do_sample=False,
        max_new_tokens=limit,
        max_length=None,
        **forced,
    )[0]
    new = out[1 + bool(forced) :] if kind == "seq2seq" else out[ids.shape[1] :]
    eos = model.generation_config.eos_token_id
    kept = [int(token) for token in new if int(token) != eos]
    return tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False), len(kept)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_completion_equals_transformers(
    client: openai.OpenAI, folders: dict[tuple[str, str], Path], family: str, layout: str
) -> None:
    """Whole, streamed, alone, and several prompts of unequal length in one request."""
    languages = FRENCH.get(family, {})
    expected = [reference(folders[family, "transformers"], FAMILIES[family], prompt, **languages) for prompt in PROMPTS]
    options = {"model": f"{family}/{layout}", "max_tokens": MAX_TOKENS, "extra_body": {"num_beams": 1, **languages}}
    together = client.completions.create(prompt=PROMPTS, **options)
    assert [choice.text for choice in together.choices] == [text for text, _ in expected]
    assert together.usage is not None
    assert together.usage.completion_tokens == sum(count for _, count in expected)
    for prompt, (text, count) in zip(PROMPTS, expected, strict=True):
        whole = client.completions.create(prompt=prompt, **options)
        assert (whole.choices[0].text, whole.usage and whole.usage.completion_tokens) == (text, count)
        chunks = list(
            client.completions.create(prompt=prompt, stream=True, stream_options={"include_usage": True}, **options)
        )
        assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == text
        assert chunks[-1].usage == whole.usage


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", ["t5", "llama"])
def test_chat(client: openai.OpenAI, family: str, layout: str) -> None:
    """With a chat template and without one; streamed as whole."""
    options = {
        "model": f"{family}/{layout}",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "max_tokens": 12,
    }
    whole = client.chat.completions.create(**options)
    chunks = client.chat.completions.create(stream=True, **options)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content


def test_both_engines_give_the_same_chat(client: openai.OpenAI) -> None:
    for family in ("t5", "llama"):
        answers = {
            client.chat.completions.create(
                model=f"{family}/{layout}", messages=[{"role": "user", "content": "hello there"}], max_tokens=12
            )
            .choices[0]
            .message.content
            for layout in LAYOUTS
        }
        assert len(answers) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_beams_and_samples(client: openai.OpenAI, layout: str) -> None:
    beams = client.completions.create(
        model=f"t5/{layout}",
        prompt="hello world",
        n=3,
        max_tokens=12,
        extra_body={"num_beams": 4, "early_stopping": True},
    )
    assert [choice.index for choice in beams.choices] == [0, 1, 2]
    assert len({choice.text for choice in beams.choices}) == 3
    samples = client.completions.create(model=f"gpt2/{layout}", prompt="hello", n=8, max_tokens=12, temperature=1.5)
    assert len({choice.text for choice in samples.choices}) > 1
    greedy = client.completions.create(model=f"gpt2/{layout}", prompt="hello", n=8, max_tokens=12, temperature=0)
    assert len({choice.text for choice in greedy.choices}) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_languages_are_needed_and_known(client: openai.OpenAI, layout: str) -> None:
    with pytest.raises(openai.BadRequestError) as missing:
        client.completions.create(model=f"nllb/{layout}", prompt="hello")
    assert missing.value.param == "target_lang"
    with pytest.raises(openai.BadRequestError) as unknown:
        client.completions.create(model=f"nllb/{layout}", prompt="hello", extra_body={"target_lang": "fra_Latin"})
    assert "fra_Latn" in unknown.value.message


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stop_strings_across_tokens(client: openai.OpenAI, layout: str) -> None:
    options = {"model": f"gpt2/{layout}", "prompt": PROMPTS[0], "max_tokens": MAX_TOKENS}
    text = client.completions.create(**options).choices[0].text
    stop = text[len(text) // 2 : len(text) // 2 + 3]
    stopped = client.completions.create(stop=stop, **options)
    assert stopped.choices[0].text == text[: text.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"
    chunks = client.completions.create(stop=stop, stream=True, **options)
    assert "".join(chunk.choices[0].text for chunk in chunks) == stopped.choices[0].text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_limits_are_refused_not_cut(client: openai.OpenAI, layout: str) -> None:
    with pytest.raises(openai.BadRequestError) as source:
        client.completions.create(model=f"marian/{layout}", prompt="hello " * 300)
    assert source.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as target:
        client.completions.create(model=f"marian/{layout}", prompt="hello", max_tokens=4000)
    assert target.value.code == "context_length_exceeded"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_languages_of_token_ids(client: openai.OpenAI, layout: str) -> None:
    """The ids hold the source's language; the target's is still the decoder's first token."""
    ids = [5, 6, 7, 2]
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=f"nllb/{layout}", prompt=ids, extra_body=FRENCH["nllb"])
    assert caught.value.param == "source_lang"
    extra = {"target_lang": "fra_Latn", "num_beams": 1}
    assert client.completions.create(model=f"nllb/{layout}", prompt=ids, max_tokens=4, extra_body=extra).usage
