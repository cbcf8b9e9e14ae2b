"""How chats and prompts become texts: by template, by profile, or plainly."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from alcove.config.settings import ModelSettings
from alcove.errors import ConfigurationError, InvalidRequest, ModelLoadError
from alcove.jobs import Message
from alcove.pipeline.prompts.prompter import Prompter
from alcove.runs import Options

from .folders import folder, load, write_tokenizer


def prompter(
    path: Path, config: dict[str, Any] | None = None, kind: Literal["seq2seq", "causal"] = "seq2seq", **prompt: Any
) -> Prompter:
    write_tokenizer(path, **(config or {}))
    return Prompter(folder(path, kind), ModelSettings(name="m", source="m", prompt=prompt), load(path))


def chat(*turns: str) -> list[Message]:
    """`"user: Hi"` and so on."""
    parted = (turn.partition(": ") for turn in turns)
    return [Message(role=role, content=content) for role, _, content in parted]  # type: ignore[arg-type]


HISTORY = chat("system: Be kind.", "user: Hi", "assistant: Hello.", "user: A nice reptile?")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        (chat("user: Hi\nthere "), "Hi\nthere "),
        (chat("system: Be kind.", "user: Hi"), "Be kind.\n\nHi"),
        (chat("developer: A", "system: B", "user: Hi"), "A\n\nB\n\nHi"),
        (HISTORY, "Be kind.\n\nQuestion: Hi\n\nAssistant: Hello.\n\nQuestion: A nice reptile?\n\nAssistant:"),
        (chat("user: A", "user: B"), "Question: A\n\nQuestion: B\n\nAssistant:"),
        (
            chat("user: A", "system: S", "assistant: B", "user: C"),
            "Question: A\n\nSystem: S\n\nAssistant: B\n\nQuestion: C\n\nAssistant:",
        ),
    ],
)
def test_without_a_template(messages: list[Message], text: str, tmp_path: Path) -> None:
    prepared = prompter(tmp_path).chat(messages)
    assert prepared.text == text
    assert (prepared.special, prepared.prefix, prepared.suppress, prepared.text_rules) == (True, None, (), None)
    assert prepared.options == Options()


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        (chat("system: Be kind."), "messages"),
        (chat("assistant: Hello."), "messages"),
        (chat("user: Hi", "tool: 3"), "messages[1].role"),
    ],
)
@pytest.mark.parametrize("profile", [None, "languagemodels"])
def test_chats_that_cannot_be_rendered(
    messages: list[Message], param: str, profile: str | None, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prompter(tmp_path, profile=profile).chat(messages)
    assert caught.value.param == param


def test_languagemodels_chat(tmp_path: Path) -> None:
    messages = chat(
        "user: First question", "assistant: Never seen", "system: Be kind.", "user: Hi you", "assistant: Hello there.",
        "developer: And short.", "user: A nice reptile?",
    )  # fmt: skip
    prepared = prompter(tmp_path, profile="languagemodels").chat(messages)
    assert prepared.text == (
        "Be kind.\n\nSystem: And short.\n\nAssistant: Hello there.\n\nQuestion: A nice reptile?\n\nAssistant:"
    )
    assert prepared.prefix == "Assistant:"
    assert prepared.options == Options(temperature=0.3, top_k=40, repetition_penalty=1.3)
    assert set(prepared.suppress) == {
        "Assistant: First", "Assistant: Never", "Assistant: Hi", "Assistant: Hello", "Assistant: A",
        "First question", "Hi you", "A nice reptile?",
    }  # fmt: skip
    assert (prepared.special, prepared.text_rules) == (True, "chat")


def test_languagemodels_chat_of_the_forerunners_readme(tmp_path: Path) -> None:
    messages = chat("system: Respond like a helpful assistant.", "user: What's a nice reptile?")
    text = prompter(tmp_path, profile="languagemodels").chat(messages).text
    assert text == "Respond like a helpful assistant.\n\nQuestion: What's a nice reptile?\n\nAssistant:"


def test_languagemodels_completion(tmp_path: Path) -> None:
    prepared = prompter(tmp_path, profile="languagemodels").completion("Who?")
    assert (prepared.text, prepared.text_rules, prepared.prefix) == ("Who?", "completion", None)
    assert prepared.options == Options(temperature=0.0, repetition_penalty=1.3)


@pytest.mark.parametrize("profile", [None, "languagemodels"])
def test_a_format_goes_around_prompts(profile: str | None, tmp_path: Path) -> None:
    wanted = prompter(tmp_path, profile=profile, format="### {instruction}\n###")
    assert wanted.completion("{instruction}?").text == "### {instruction}?\n###"
    assert wanted.chat(HISTORY).text.startswith("### Be kind.")


TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ eos_token }}"


@pytest.mark.parametrize("where", ["settings", "file", "folder's file", "jinja", "config", "named"])
def test_places_of_a_template(where: str, tmp_path: Path) -> None:
    config: dict[str, Any] = {"chat_template": "of the configuration"} if where not in ("config", "named") else {}
    prompt: dict[str, Any] = {}
    match where:
        case "settings":
            prompt["chat_template"] = TEMPLATE
        case "file":
            (tmp_path / "mine.txt").write_text(TEMPLATE)
            prompt["chat_template"] = str(tmp_path / "mine.txt")
        case "folder's file":
            (tmp_path / "mine.txt").write_text(TEMPLATE)
            prompt["chat_template"] = "mine.txt"
        case "jinja":
            (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
        case "config":
            config["chat_template"] = TEMPLATE
        case "named":
            tools = {"name": "tool_use", "template": "other"}
            config["chat_template"] = [tools, {"name": "default", "template": TEMPLATE}]
    prepared = prompter(tmp_path, config, **prompt).chat(chat("developer: S", "user: Hi"))
    assert (prepared.text, prepared.special) == ("<system>S<user>Hi</s>", False)


def test_a_template_may_know_developers_and_other_tokens(tmp_path: Path) -> None:
    template = "{% if messages[0].role == 'developer' %}{{ turn_token }}{% endif %}"
    written = prompter(tmp_path, {"chat_template": template, "turn_token": "<turn>"})
    assert written.chat(chat("developer: S")).text == "<turn>"


TURNS = "{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}</s>\n{% endfor %}"
OPEN = TURNS + "{% if add_generation_prompt %}[assistant]{% endif %}{{ mood | default('') }}"
UNTRIMMED = TURNS.replace(" | trim", "")


@pytest.mark.parametrize("template", [TURNS, OPEN, UNTRIMMED])
@pytest.mark.parametrize("last", ["Hello", "Hello ", " Hello\n", "Hello Hello"])
@pytest.mark.parametrize(
    "options",
    [{}, {"add_generation_prompt": False}, {"add_generation_prompt": False, "continue_final": True}],
)
def test_a_template_renders_as_in_transformers(
    template: str, last: str, options: dict[str, bool], tmp_path: Path
) -> None:
    written = prompter(tmp_path, {"chat_template": template}, kind="causal")
    messages = [*chat("user: Hello", "assistant: x"), Message(role="assistant", content=last)]
    variables = {"mood": "glad"} if template == OPEN else {}
    names = {"continue_final": "continue_final_message"}
    keywords = {"add_generation_prompt": True} | {names.get(name, name): value for name, value in options.items()}
    expected, _ = render_jinja_template(
        [[{"role": m.role, "content": m.content} for m in messages]],
        chat_template=template,
        eos_token="</s>",
        **keywords,
        **variables,
    )
    assert [written.chat(messages, variables=variables, **options).text] == expected


@pytest.mark.parametrize("name", ["messages", "tools", "tokenize", "eos_token", "raise_exception", "m", "nothing"])
def test_variables_that_a_request_cannot_set(name: str, tmp_path: Path) -> None:
    template = OPEN + "{{ tools }}{{ tokenize }}{{ eos_token }}{{ raise_exception }}"
    with pytest.raises(InvalidRequest, match="it can set: mood") as caught:
        prompter(tmp_path, {"chat_template": template}).chat(chat("user: Hi"), variables={name: 1})
    assert caught.value.param == f"chat_template_kwargs.{name}"


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        ("x" * 4094, True),
        ("x" * 4095, False),
        (10**6, True),
        (-(10**6) - 1, False),
        ({"a": [1e7]}, False),
        (None, True),
    ],
)
def test_variables_are_small(value: Any, fine: bool, tmp_path: Path) -> None:
    written = prompter(tmp_path, {"chat_template": OPEN})
    if fine:
        assert written.chat(chat("user: Hi"), variables={"mood": value}).text
    else:
        with pytest.raises(InvalidRequest, match=r"chat_template_kwargs\.mood"):
            written.chat(chat("user: Hi"), variables={"mood": value})


def test_going_on_without_a_template(tmp_path: Path) -> None:
    turns = chat("system: Be kind.", "user: Hi", "assistant: Well, ")
    causal = prompter(tmp_path, kind="causal").chat(turns, continue_final=True, add_generation_prompt=False)
    assert (causal.text, causal.prefix) == ("Be kind.\n\nQuestion: Hi\n\nAssistant: Well, ", None)
    encoder = prompter(tmp_path).chat(turns, continue_final=True, add_generation_prompt=False)
    assert (encoder.text, encoder.prefix) == ("Be kind.\n\nHi", "Well, ")
    profile = prompter(tmp_path, profile="languagemodels").chat(turns, continue_final=True)
    assert (profile.text[-24:], profile.prefix) == ("Question: Hi\n\nAssistant:", "Assistant: Well, ")
    templated = prompter(tmp_path, {"chat_template": OPEN}).chat(turns, continue_final=True)
    assert (templated.text[-11:], templated.prefix) == ("[assistant]", "Well, ")


def test_ends_of_a_transcript(tmp_path: Path) -> None:
    plain = prompter(tmp_path)
    assert plain.chat(HISTORY, add_generation_prompt=False).text.endswith("Question: A nice reptile?")
    with pytest.raises(InvalidRequest) as caught:
        prompter(tmp_path, profile="languagemodels").chat(HISTORY, add_generation_prompt=False)
    assert caught.value.param == "add_generation_prompt"
    for wanted in (plain, prompter(tmp_path, kind="causal")):
        with pytest.raises(InvalidRequest, match="should be the assistant's"):
            wanted.chat(HISTORY, continue_final=True)
    with pytest.raises(InvalidRequest, match="go through no template"):
        plain.chat(HISTORY, variables={"mood": 1})


def test_a_template_that_drops_the_last_message(tmp_path: Path) -> None:
    written = prompter(tmp_path, {"chat_template": "{{ messages[0].content }}"}, kind="causal")
    with pytest.raises(InvalidRequest) as caught:
        written.chat(HISTORY, continue_final=True)
    assert caught.value.param == "continue_final_message"


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages[7].content.x }}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_that_refuses(template: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prompter(tmp_path, chat_template=template).chat(chat("user: Hi"))
    assert caught.value.param == "messages"
    assert "\n" not in str(caught.value)


def test_the_templates_own_words_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="roles must alternate"):
        prompter(tmp_path, chat_template="{{ raise_exception('roles must alternate') }}").chat(chat("user: Hi"))


def test_templates_that_are_broken(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model m: prompt\.chat_template"):
        prompter(tmp_path, chat_template="{% if %}")
    with pytest.raises(ConfigurationError, match="no-such-file"):
        prompter(tmp_path, chat_template="no-such-file")
    with pytest.raises(ModelLoadError, match=r"tokenizer_config\.json: chat_template: not a Jinja template"):
        prompter(tmp_path, {"chat_template": "{% if %}"})


def test_the_settings_format_is_kept_out_of_templates(tmp_path: Path) -> None:
    wanted = prompter(tmp_path, chat_template="{{ messages[0].content }}", format="Q: {instruction}")
    assert wanted.chat(chat("user: Hi")).text == "Hi"
    assert json.dumps(wanted.completion("Hi").text) == '"Q: Hi"'
