"""A model's fixed system prompt: put where a chat has none, and known by its tokens, so that engines can keep it."""

from pathlib import Path
from typing import Any, Literal

import pytest

from alcove.config.settings import ModelSettings
from alcove.errors import ConfigurationError
from alcove.jobs import Chat, Job, Message, Role
from alcove.pipeline.encode import Encoder
from alcove.pipeline.limits import limits_of
from alcove.store.folder import GenerationDefaults

from .folders import folder, load, write_tokenizer

TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
PICKY = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE


def encoder(path: Path, kind: Literal["seq2seq", "causal"] = "causal", **prompt: Any) -> Encoder:
    write_tokenizer(path)
    settings = ModelSettings(name="m", source="m", prompt={"chat_template": TEMPLATE, "system": "be kind", **prompt})
    limits = limits_of(folder(path, kind), settings, GenerationDefaults())
    return Encoder(folder(path, kind), settings, load(path), limits, forced_bos=None, end=None)


def chat(*turns: tuple[Role, str]) -> Job:
    return Job(prompt=Chat(tuple(Message(role=role, content=text) for role, text in turns)), param="messages")


def test_chats_without_a_system_message_begin_with_the_models_own(tmp_path: Path) -> None:
    encoded = encoder(tmp_path).encode(chat(("user", "hello")))
    assert encoded.prepared.text == "[system]be kind[user]hello[assistant]"
    shared = load(tmp_path).encode("[system]be kind[user]")
    assert encoded.tokens[: encoded.shared] == shared
    assert encoded.shared == len(shared)


def test_other_prompts_share_nothing(tmp_path: Path) -> None:
    made = encoder(tmp_path)
    own = made.encode(chat(("system", "be quick"), ("user", "hello")))
    assert (own.prepared.text, own.shared) == ("[system]be quick[user]hello[assistant]", 0)
    assert made.encode(Job(prompt="hello", param="prompt")).shared == 0
    assert encoder(tmp_path, "seq2seq").encode(chat(("user", "hello"))).shared == 0


def test_a_template_that_takes_no_system_message_is_found_out_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model 'm': prompt\.system cannot be used: .*no system"):
        encoder(tmp_path, chat_template=PICKY)
