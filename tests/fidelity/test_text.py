"""Ids, texts and prompts equal those of transformers' own tokenizers on the same folders."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from alcove.config.settings import ModelSettings
from alcove.jobs import Message
from alcove.pipeline.prompts.prompter import Prompter
from alcove.pipeline.tokenizer import Tokenizer, load_tokenizer
from alcove.pipeline.tokenizers.languages import languages_of
from alcove.store.folder import ModelFolder

FAMILIES = ("t5", "bart", "marian", "m2m100", "nllb", "mbart", "mbart50", "gpt2", "opt", "llama", "qwen2")
TEXTS = (
    "", " ", "Hello world", "  two  spaces \n newline\t tab ", "naïve café 🦎 漢字 x", "</s> and <pad><unk> x</s>",
    ">>fra<< Hello", ">>fra<<Hello >>deu<< x", "<extra_id_0> foo <mask> bar", "__en__ hi __fr__", "eng_Latn x fra_Latn",
    "▁under ▁score", "don't , . ! ? 's", "\u00a0nbsp\u200b zero ﬁ ligature Å", "a" * 300, "▁▁", "x\x00y",
    "<0xE2> <s>hi</s> <|endoftext|> <|im_start|>user\nhi<|im_end|>",
)  # fmt: skip


def model_folder(path: Path) -> ModelFolder:
    config = json.loads((path / "config.json").read_text())
    kind = "seq2seq" if config.get("is_encoder_decoder") else "causal"
    return ModelFolder(path=path, layout="transformers", kind=kind, model_type=config["model_type"], config=config)


def ours(path: Path, **options: Any) -> Tokenizer:
    return load_tokenizer(model_folder(path), ModelSettings(name="m", source=str(path), engine_options=options))


def theirs(path: Path, **keywords: Any) -> Any:
    return transformers.AutoTokenizer.from_pretrained(path, **keywords)


def copy(path: Path, to: Path, *without: str, **config: Any) -> Path:
    """The folder's small files at another place, some left out, tokenizer_config.json changed (None removes a key)."""
    to.mkdir()
    for file in path.iterdir():
        if file.suffix != ".safetensors" and file.name not in without:
            shutil.copy(file, to)
    known = json.loads((to / "tokenizer_config.json").read_text()) | config
    (to / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in known.items() if v is not None}))
    return to


def pairs_files(path: Path, to: Path) -> None:
    """vocab.json and merges.txt of a tokenizer.json."""
    model = json.loads((path / "tokenizer.json").read_text())["model"]
    (to / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = (merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"])
    (to / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]), encoding="utf-8")


def streamed(tokenizer: Tokenizer, ids: list[int]) -> str:
    machine = tokenizer.stream()
    return "".join(machine.feed([i]) for i in ids) + machine.flush()


def assert_same(mine: Tokenizer, oracle: Any, texts: Any = TEXTS, examples: int = 100) -> None:
    for text in texts:
        for special in (True, False):
            assert mine.encode(text, special=special) == tuple(oracle.encode(text, add_special_tokens=special)), text
    assert mine.special_ids == frozenset(oracle.all_special_ids)
    assert (mine.eos_id, mine.pad_id) == (oracle.eos_token_id, oracle.pad_token_id)

    some_id = st.integers(0, len(mine.target_tokens) - 1)

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @given(st.text(max_size=40), st.lists(some_id, max_size=14))
    def any_text(text: str, ids: list[int]) -> None:
        encoded = mine.encode(text)
        assert encoded == tuple(oracle.encode(text))
        for sequence in (ids, [*encoded, *ids]):
            for skip in (True, False):
                expected = oracle.decode(sequence, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
                assert mine.decode(sequence, skip_special=skip) == expected
            assert streamed(mine, sequence) == mine.decode(sequence)

    any_text()


@pytest.mark.parametrize("name", FAMILIES)
def test_folders_as_transformers_writes_them(name: str, zoo: Callable[[str], Path]) -> None:
    path = zoo(name)
    assert_same(ours(path), theirs(path))


@pytest.mark.parametrize("name", ["gpt2", "opt", "bart", "qwen2"])
def test_byte_level_folders_without_tokenizer_json(name: str, zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo(name), tmp_path / name, "tokenizer.json")
    pairs_files(zoo(name), path)
    assert_same(ours(path), theirs(path))


def test_opt_as_published_begins_with_its_special_token(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("opt"), tmp_path / "opt", "tokenizer.json", tokenizer_class="GPT2Tokenizer", add_bos_token=True)
    pairs_files(zoo("opt"), path)
    assert_same(ours(path), theirs(path))
    assert ours(path).encode("x")[0] == ours(path).bos_id


@pytest.mark.parametrize(
    "config", [{}, {"extra_special_tokens": None}, {"extra_special_tokens": None, "extra_ids": 100}]
)
def test_t5_from_its_sentencepiece_file(config: dict[str, Any], zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("t5"), tmp_path / "t5", "tokenizer.json", **config)
    assert_same(ours(path), theirs(path))


@pytest.mark.parametrize("name", ["mbart", "mbart50"])
def test_formats_that_transformers_converts(name: str, zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo(name), tmp_path / name, "tokenizer.json")
    assert_same(ours(path), theirs(path), examples=20)


def test_llama_from_its_sentencepiece_file(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    import sentencepiece

    path = copy(zoo("llama"), tmp_path / "llama", "tokenizer.json")
    with (path / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["the snake is a reptile", "James Bond is an agent"] * 20), model_writer=file,
            vocab_size=300, model_type="bpe", byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
    assert_same(ours(path), theirs(path))


def test_marian_with_languages_and_apart_vocabularies(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("marian"), tmp_path / "languages")
    vocabulary = json.loads((path / "vocab.json").read_text())
    (path / "vocab.json").write_text(json.dumps(vocabulary | {">>fra<<": len(vocabulary)}))
    assert_same(ours(path), theirs(path))
    assert ours(path).encode(">>fra<< x")[0] == len(vocabulary)

    apart = copy(zoo("marian"), tmp_path / "apart", separate_vocabs=True)
    pieces = list(vocabulary)
    (apart / "target_vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(sorted(pieces))}))
    mine, oracle = ours(apart), theirs(apart)
    assert mine.encode("a snake") == tuple(oracle.encode("a snake"))
    assert mine.encode_target("a snake") == tuple(oracle(text_target="a snake", add_special_tokens=False).input_ids)


def test_m2m100_as_published_has_special_languages(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("m2m100"), tmp_path / "m2m100", added_tokens_decoder=None, extra_special_tokens=None)
    codes = theirs(zoo("m2m100")).lang_code_to_id
    (path / "special_tokens_map.json").write_text(
        json.dumps({"additional_special_tokens": [f"__{code}__" for code in codes], "eos_token": "</s>"})
    )
    mine = ours(path)
    assert_same(mine, theirs(path))
    assert [mine.encode(f"__{code}__", special=False) for code in codes] == [(i,) for i in codes.values()]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("nllb", ("fra_Latn", "deu_Latn")),
        ("m2m100", ("fr", "zh")),
        ("mbart50", ("fr_XX", "uk_UA")),
        ("mbart", ("ro_RO", "en_XX")),
    ],
)
def test_languages(name: str, codes: tuple[str, ...], zoo: Callable[[str], Path]) -> None:
    path = zoo(name)
    mine = languages_of(model_folder(path), ours(path))
    assert mine is not None
    assert mine.encode("a snake, 漢") == tuple(theirs(path).encode("a snake, 漢"))
    for code in codes:
        oracle = theirs(path, src_lang=code)
        assert mine.encode("a snake, 漢", code) == tuple(oracle.encode("a snake, 漢"))
        assert mine.target_id(code) == oracle.convert_tokens_to_ids(f"__{code}__" if name == "m2m100" else code)


def test_nllb_of_the_old_behaviour(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("nllb"), tmp_path / "nllb", legacy_behaviour=True)
    mine = languages_of(model_folder(path), ours(path))
    assert mine is not None
    assert mine.encode("a snake", "fra_Latn") == tuple(theirs(path, src_lang="fra_Latn").encode("a snake"))


def test_languages_are_known_without_a_tokenizer_class(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    for name, codes in (("nllb", 4), ("m2m100", 100)):
        path = copy(zoo(name), tmp_path / name, tokenizer_class=None)
        mine = languages_of(model_folder(path), ours(path))
        assert mine is not None
        assert len(mine.codes) == codes


@pytest.mark.parametrize("name", ["t5", "bart", "marian", "gpt2", "llama"])
def test_others_have_no_languages(name: str, zoo: Callable[[str], Path]) -> None:
    assert languages_of(model_folder(zoo(name)), ours(zoo(name))) is None


KEYWORDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("llama", {"add_eos_token": True}),
    ("llama", {"add_bos_token": False, "use_fast": True, "padding_side": "left", "model_max_length": 10}),
    ("gpt2", {"pad_token": "<|pad|>", "bos_token": "<|begin|>", "add_bos_token": True}),
    ("gpt2", {"add_prefix_space": True}),
    ("nllb", {"src_lang": "fra_Latn"}),
    ("t5", {"additional_special_tokens": ["<extra_id_0>", "<new>"], "extra_ids": 1, "legacy": False}),
    ("m2m100", {"src_lang": "fr"}),
)


@pytest.mark.parametrize(("name", "keywords"), KEYWORDS)
def test_keywords_of_from_pretrained(name: str, keywords: dict[str, Any], zoo: Callable[[str], Path]) -> None:
    mine, oracle = ours(zoo(name), tokenizer=keywords), theirs(zoo(name), **keywords)
    if languages := languages_of(model_folder(zoo(name)), mine):
        assert languages.encode("a snake") == tuple(oracle.encode("a snake"))
    else:
        assert_same(mine, oracle, (*TEXTS, "a <new> b <|pad|> <|begin|>"), examples=10)


def test_tokenizer_json_comes_before_the_configuration(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("llama"), tmp_path / "llama", add_bos_token=True, add_eos_token=True)
    stored = json.loads((path / "tokenizer.json").read_text())
    (path / "tokenizer.json").write_text(json.dumps(stored | {"post_processor": None}))
    assert_same(ours(path), theirs(path), examples=10)


def old_steps(stored: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json's steps as Llama 2's first conversions had them."""
    blanks = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    prepend = {"type": "Prepend", "prepend": "▁"}
    return stored | {"pre_tokenizer": None, "normalizer": {"type": "Sequence", "normalizers": [prepend, blanks]}}


@pytest.mark.parametrize("config", [{"legacy": True}, {"legacy": False}, {}, {"add_prefix_space": False}])
@pytest.mark.parametrize("named", ["LlamaTokenizer", "LlamaTokenizerFast", "PreTrainedTokenizerFast"])
def test_llama_of_any_year(named: str, config: dict[str, Any], zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("llama"), tmp_path / "llama", **{"tokenizer_class": named, "legacy": None, **config})
    stored = json.loads((path / "tokenizer.json").read_text())
    (path / "tokenizer.json").write_text(json.dumps(old_steps(stored)))
    assert_same(ours(path), theirs(path), examples=20)


def test_byte_level_under_llamas_name(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("qwen2"), tmp_path / "llama3", tokenizer_class="LlamaTokenizer")
    config = json.loads((path / "config.json").read_text()) | {"model_type": "llama"}
    (path / "config.json").write_text(json.dumps(config))
    assert_same(ours(path), theirs(path), examples=20)


@pytest.mark.parametrize("named", ["T5Tokenizer", "T5TokenizerFast", "PreTrainedTokenizerFast"])
def test_t5_of_any_year(named: str, zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("t5"), tmp_path / "t5", tokenizer_class=named)
    converted = theirs(copy(zoo("t5"), tmp_path / "converted", "tokenizer.json"))
    stored = json.loads(converted.backend_tokenizer.to_str())
    stored["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    assert stored["normalizer"]["type"] == "Precompiled"
    more = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
    stored["normalizer"] = {"type": "Sequence", "normalizers": [stored["normalizer"], more]}
    (path / "tokenizer.json").write_text(json.dumps(stored))
    assert_same(ours(path), theirs(path), examples=20)


def test_truncation_and_padding_of_the_file_are_off(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    path = copy(zoo("t5"), tmp_path / "t5")
    stored = json.loads((path / "tokenizer.json").read_text())
    stored["truncation"] = {"max_length": 5, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    stored["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "<pad>",
    }  # fmt: skip
    (path / "tokenizer.json").write_text(json.dumps(stored))
    for text in ("a snake is a nice reptile", "x"):
        assert ours(path).encode(text) == ours(zoo("t5")).encode(text)


@pytest.mark.parametrize("name", ["t5", "marian", "gpt2"])
def test_clean_up_of_spaces(name: str, zoo: Callable[[str], Path]) -> None:
    mine = ours(zoo(name), decode={"clean_up_tokenization_spaces": True, "skip_special_tokens": False})
    oracle = theirs(zoo(name))
    ids = [*mine.encode("He does n't like it , does he ? It 's not ' here ' ."), *mine.encode("a . b")]
    assert mine.decode(ids) == oracle.decode(ids, clean_up_tokenization_spaces=True) == streamed(mine, ids)


CHATS: tuple[tuple[Message, ...], ...] = (
    (Message(role="user", content='Hi <b>"there"</b>\n'),),
    (
        Message(role="system", content="  Be kind. "),
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Hello."),
        Message(role="user", content="漢字?", name="ann"),
    ),
)
TEMPLATES = (
    "{%- for m in messages %}\n    {% if loop.first and m.role == 'system' %}\n{{ m.content | trim }}\n{% continue %}\n"
    "    {% endif %}\n<{{ m['role'] }}>{{ m.content }}{{ eos_token }}\n{%- endfor %}\n"
    "{% if add_generation_prompt %}<assistant>{% endif %}",
    "{{ bos_token }}{% for m in messages %}{{ m | tojson }}{{ m.content | tojson(indent=2) }}{% break %}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}{{ tools is none }}{{ dict(a=1) }}{{ messages[-1].name }}",
    "{{ strftime_now('%Y-%m') }}{{ unk_token }}{{ pad_token }}{{ undefined_thing }}",
)


@pytest.mark.parametrize("messages", CHATS)
@pytest.mark.parametrize("template", [None, *TEMPLATES])
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_chat_templates(
    name: str, template: str | None, messages: tuple[Message, ...], zoo: Callable[[str], Path]
) -> None:
    path = zoo(name)
    tokenizer = ours(path)
    wanted = ModelSettings(name="m", source="m", prompt={"chat_template": template})
    prepared = Prompter(model_folder(path), wanted, tokenizer).chat(messages)
    plain = [{"role": m.role, "content": m.content} | ({"name": m.name} if m.name else {}) for m in messages]
    oracle = theirs(path)
    keywords = {"chat_template": template, "add_generation_prompt": True}
    assert prepared.text == oracle.apply_chat_template(plain, tokenize=False, **keywords)
    ids = oracle.apply_chat_template(plain, tokenize=True, return_dict=False, **keywords)
    assert tokenizer.encode(prepared.text, special=prepared.special) == tuple(ids)


def test_a_folder_that_tells_no_type(zoo: Callable[[str], Path]) -> None:
    """As a CTranslate2 folder with a tokenizer.json: languages are found by their tokens."""
    folder = replace(model_folder(zoo("nllb")), model_type=None, layout="ctranslate2")
    assert languages_of(folder, load_tokenizer(folder, ModelSettings(name="m", source="m"))) is not None
