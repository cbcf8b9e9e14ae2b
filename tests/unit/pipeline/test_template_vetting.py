"""Hostile chat templates: which are refused when a model is loaded, and what the others may cost."""

import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from alcove.errors import InvalidRequest, ModelLoadError
from alcove.jobs import Message
from alcove.pipeline.prompts import template_vetting
from alcove.pipeline.prompts.template import ChatTemplate
from alcove.pipeline.prompts.template_budget import budget_for, spending
from alcove.pipeline.prompts.template_sandbox import template_environment
from alcove.store.find import PACKAGED

from .chat_templates import KNOWN

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
ASK = Message(role="user", content="How are you?")
ANSWER = Message(role="assistant", content="<think>\nHm.\n</think>\n\nWell, thank you.\n")
SYSTEM = Message(role="system", content="Be kind. ")
CHATS = [
    *([ASK], [SYSTEM, ASK], [ASK, ANSWER, ASK], [SYSTEM, ASK, ANSWER, ASK]),
    *([ASK, ANSWER], [ANSWER, ANSWER], [SYSTEM]),
]

BOMBS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "smaller loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "a repeated text": "{{ 'a' * 3000000000 }}",
    "a macro without end": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a doubling": "{% set n = namespace(x='a') %}{% for m in messages %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "a power": "{{ 10 ** 10000000 }}",
    "a wide filter": "{{ 'a' | center(3000000000) }}",
    "a wide method": "{{ 'a'.ljust(3000000000) }}",
    "a wide indent": "{{ 'a\nb' | indent(3000000000) }}",
    "a wide number": "{{ '%3000000000d' % 1 }}",
    "a wide format": "{{ '{:3000000000}'.format(1) }}",
    "two macros without end": "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a macro that branches": (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(99) }}"
    ),
    "loops over what is counted": (
        "{% set l = 'abcdefghijklmnopqrstuvwxyz' %}"
        + "".join(f"{{% for x{i} in l %}}" for i in range(9)) + "{% endfor %}" * 9
    ),
    "a recursive loop": "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "another template": "{% include '/etc/passwd' %}",
    "more than it is given": "{% for m in messages %}" + "x" * 60_000 + "{% endfor %}",
    "a long template": "x" * 65_537,
    "brackets": "{{ " + "(" * 30_000 + ")" * 30_000 + " }}",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_loading(name: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ModelLoadError, match=r"^here: this chat template is refused: .* Set prompt\.chat") as caught:
        ChatTemplate(BOMBS[name], TOKENS, origin="here")
    assert time.monotonic() - begun < 10  # a trial ends itself after 2 s of processor time
    assert "\n" not in str(caught.value)


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__.__base__.__subclasses__()[0]('x') }}",
    "{{ raise_exception.__globals__['os'].system(canary) }}",
    "{{ strftime_now.__globals__.__builtins__.open(canary, 'w') }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').system(canary) }}",
    "{{ namespace.__init__.__globals__['sys'].modules['os'].system(canary) }}",
    "{{ cycler.__init__.__globals__.os.system(canary) }}",
    "{{ joiner.__init__.__globals__.os.popen(canary).read() }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(namespace()) }}",
    "{{ ('a' | attr('__class__')).__mro__ }}",
    "{{ [''] | map('attr', '__class__') | map(attribute='__mro__') | list }}",
    "{{ messages.append(canary) }}{{ messages.clear() }}",
    "{% macro f() %}{% endmacro %}{{ f.__globals__ }}{{ f._func.__code__ }}",
]


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_escape_from_the_sandbox(escape: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    source = escape.replace("canary", repr(f"touch {canary}"))
    try:
        text = ChatTemplate(source, TOKENS, origin="here").render([ASK])
    except (ModelLoadError, InvalidRequest):
        text = ""
    assert not any(word in text for word in ("class", "module", "object at", "os."))
    assert not canary.exists()


def test_a_messages_text_is_no_template() -> None:
    text = "{{7*7}} {% raw %} {# #} ${7*7}"
    for name, source in KNOWN.items():
        assert text in ChatTemplate(source, TOKENS, origin=name).render([Message(role="user", content=text)])


INNER = {"type": "object", "properties": {"b": {"type": "array", "items": {"type": "string"}}, "c": {}}}
VARIABLES: dict[str, dict[str, Any]] = {
    "qwen 3": {"enable_thinking": False},
    "llama 3": {"date_string": "today"},
    "schemas": {"schemas": [{"type": "object", "properties": {"a": INNER}}]},
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("chat", range(len(CHATS)))
def test_known_templates_render_as_in_transformers(name: str, chat: int) -> None:
    variables = VARIABLES.get(name, {})
    expected = [[{"role": turn.role, "content": turn.content} for turn in CHATS[chat]]]
    template = ChatTemplate(KNOWN[name], TOKENS, origin=name)
    try:
        wanted, _ = render_jinja_template(
            expected, chat_template=KNOWN[name], add_generation_prompt=True, **TOKENS, **variables
        )
    except TemplateError as error:
        with pytest.raises(InvalidRequest, match=str(error).partition(".")[0][:30]):
            template.render(CHATS[chat], variables=variables)
    else:
        assert template.render(CHATS[chat], variables=variables) == wanted[0]


LOOPS = """{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}/{{ loop.revindex }}
{{ loop.first }}{{ loop.last }}{{ loop.previtem.content if not loop.first }}
{{ loop.nextitem.content if not loop.last }}{{ loop.cycle('a', 'b') }}{{ loop.changed(m.role) }}
{% else %}none{% endfor %}
{% for a in [] %}{% else %}empty{% endfor %}{% for k, v in messages[0].items() %}{{ k ~ v ~ 1 }}{% endfor %}
{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% if i == 2 %}{% break %}{% endif %}{% endfor %}
{{ messages | map(attribute='role') | join('-') }}{{ ['b', 'a'] | sort | join }}{{ 'a' 'b' | upper }}{{ 7 % 4 }}
{{ '%s-%d' % ('a', 3) }}{{ '{}'.format(5) }}{{ 'ab' * 2 }}{{ [1] + [2] }}{{ 'a.b'.replace('.', '!') }}{{ nothing }}
{% set x %}a{{ 1 }}{% endset %}{{ x }}{% filter upper %}q{% endfilter %}
{% macro f(a) %}<{{ a }}>{{ caller() }}{% endmacro %}{% call f(1) %}c{% endcall %}
{{ {'a': [1]} | tojson(indent=2) }}{{ messages | length }}{{ none }}{{ true }}{{ 1.5 | round }}"""


def test_counting_changes_nothing() -> None:
    for chat in (CHATS[3], [ANSWER]):
        turns = [[{"role": turn.role, "content": turn.content} for turn in chat]]
        wanted, _ = render_jinja_template(turns, chat_template=LOOPS, add_generation_prompt=True)
        assert ChatTemplate(LOOPS, {}, origin="here").render(chat) == wanted[0]


AMPLIFIERS = [
    "{{ 'a' * n }}", "{{ [1] * n }}", "{{ n * 'a' }}", "{{ 'a' | center(n) }}", "{{ 'a'.rjust(n) }}",
    "{{ 'a'.zfill(n) }}",
    "{{ '\t'.expandtabs(n) }}", "{{ '%*d' % (n, 1) }}", "{{ '%*d' | format(n, 1) }}", "{{ '{:{}}'.format(1, n) }}",
    "{{ '{x:{y}}'.format_map({'x': 1, 'y': n}) }}", "{{ range(n) | list }}", "{{ [1] | batch(n, 'x') | list }}",
    "{{ [1] | slice(n) | list }}", "{{ [1] | tojson(indent=n) }}", "{{ 'a\nb' | indent(n) }}", "{{ 1.5 | round(n) }}",
    "{{ (5).to_bytes(n, 'big') }}", "{{ long | replace('a', long) }}", "{{ long.replace('a', long) }}",
    "{{ ([long] * 9999) | join }}", "{{ ''.join([long] * 9999) }}",
    "{{ ([{'x': long}] * 9999) | map(attribute='x') | join }}",
    "{{ [[long] * 9999] }}", "{{ [long] * 9999 ~ '' }}", "{{ ([long] * 9999) | tojson }}",
    "{{ ([long] * 9999) | string }}",
    "{{ '%s' % [[long] * 9999] }}", "{{ '{}'.format([long] * 9999) }}", "{{ ([[1] * 9999] * 9999) | sum(start=[]) }}",
    "{{ 'a'.translate({97: long}) }}", "{{ long | indent(9, true) * 9999 }}", "{{ lipsum(n) }}", "{{ n ** n }}",
    "{% set s = namespace(x=3) %}{% for i in range(99) %}{% set s.x = s.x * s.x %}{% endfor %}",
    "{% set s = namespace(x=[1]) %}{% for i in range(99) %}{% set s.x = s.x + s.x %}{% endfor %}",
    "{% set s = namespace(x='a') %}{% for i in range(99) %}{% set s.x = s.x ~ s.x %}{% endfor %}",
    "{% set s = namespace(x='a') %}{% for i in range(99) %}{% set s.x %}{{ s.x }}{{ s.x }}{% endset %}{% endfor %}",
    "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "{% for i in range(9999) %}{{ long }}{% endfor %}", "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{{ 'a' | center(3, long * 999) }}", "{{ long | join(9999 * [long]) }}", "{{ long | join(messages) }}",
    "{{ (9 * long) | replace(new=9 * long, old='a') }}", "{{ (9 * [long]) | replace('a', 9 * long) }}",
    "{{ (9 * long) | replace('a', 9 * [long]) }}", "{{ range(9999) | tojson(separators=(9 * long, ':')) }}",
    "{{ (9 * long) | wordwrap(1, true, 9 * long) }}", "{{ long.encode().replace('a'.encode(), long.encode()) }}",
    "{{ (9 * 'a\n' * 9999) | indent(long) }}", "{{ ['a.b' * 9999] | map('urlize', target=long) | list }}",
    "{{ [long] | map('center', n) | list }}",
]  # fmt: skip
"""What makes much out of little, `n` being a large number and `long` a long text."""


@pytest.mark.parametrize("source", AMPLIFIERS)
def test_what_a_rendering_may_cost(source: str) -> None:
    environment = template_environment()
    tracemalloc.start()
    begun = time.process_time()
    try:
        with spending(budget_for(1, 10)), pytest.raises((TemplateError, RecursionError, TypeError, OverflowError)):
            environment.from_string(source).render(n=10**9, long="a" * 9999, messages=["a" * 9999] * 99)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
        assert time.process_time() - begun < 5
    finally:
        tracemalloc.stop()


def test_a_request_cannot_make_a_vetted_template_expensive() -> None:
    """Every message with every other: refused when there are many, and nobody else waits for it."""
    squares = "{% for a in messages %}{% for b in messages %}{% endfor %}{% endfor %}"
    template = ChatTemplate(squares, {}, origin="here")
    caught: list[Exception] = []

    def render() -> None:
        try:
            template.render([ASK] * 2048)
        except InvalidRequest as error:
            caught.append(error)

    other = threading.Thread(target=render)
    other.start()
    longest = 0.0
    while other.is_alive():
        begun = time.monotonic()
        time.sleep(0.001)
        longest = max(longest, time.monotonic() - begun)
    assert "loops or calls without end" in str(caught[0])
    assert longest < 1


def test_a_prompt_is_not_much_longer_than_its_chat() -> None:
    template = ChatTemplate("{{ messages[0].content }}" * 10, {}, origin="here")
    assert len(template.render([Message(role="user", content="a" * 5_000)])) == 50_000
    with pytest.raises(InvalidRequest, match="it makes 5000000 characters of 500000"):
        template.render([Message(role="user", content="a" * 500_000)])


def test_each_template_is_tried_once_and_harmless_ones_never(monkeypatch: pytest.MonkeyPatch) -> None:
    trials: list[object] = []
    run = subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        trials.append(options["env"])
        return run(*arguments, **options)

    monkeypatch.setenv("ALCOVE_API_KEYS", "secret")
    monkeypatch.setattr(template_vetting.subprocess, "run", counted)
    builtin = (PACKAGED / "alcove-chat" / "ctranslate2" / "chat_template.jinja").read_text()
    ChatTemplate(builtin, TOKENS, origin="here")
    ChatTemplate(KNOWN["chatml"], TOKENS, origin="here")
    assert not trials
    for _ in range(2):
        ChatTemplate(KNOWN["qwen 3"] + "{# new #}", TOKENS, origin="here")
        with pytest.raises(ModelLoadError):
            ChatTemplate("{{ messages.clear() }}{# new #}", TOKENS, origin="here")
    assert len(trials) == 2
    assert "secret" not in str(trials)


def test_a_trial_is_cheap_to_start() -> None:
    code = "import sys, alcove.pipeline.prompts.template_trial; print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{name}'" in modules for name in ("torch", "transformers", "ctranslate2", "numpy", "pydantic"))


def test_a_trial_that_is_not_over_in_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_vetting, "_TRIAL", "tests_that_sleep")
    monkeypatch.setattr(template_vetting, "TRIAL_TIMEOUT_S", 0.01)
    with pytest.raises(ModelLoadError, match="does not end within"):
        ChatTemplate("{{ messages[:1] }}{# slow #}", TOKENS, origin="here")
