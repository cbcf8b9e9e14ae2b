"""A plan -> the pool of different requests that its levels draw from. Called by `run.py` and `tune.py`."""

import random
from typing import Any

from alcove.bench.plan import Between, Plan

_TEXT = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work government number night point home water room mother "
    "area money story fact month lot right study book eye job word business issue side kind head house service friend "
    "father power hour game line end member law car city community name president team minute idea body information "
    "back parent face others level office door health person art war history party result change morning reason "
    "research girl guy moment air teacher force education foot boy age policy music market sense nation plan college "
    "interest death experience effect use class control care field development role effort rate heart drug show leader "
    "light voice wife police mind price report decision son view relationship town road arm difference value building "
    "action"
)
_WORDS = _TEXT.split()
"""Common words: a token each, or little more, for most tokenizers."""


def pool(plan: Plan, model: str, count: int) -> list[dict[str, Any]]:
    """So many different request bodies; the same for the same plan."""
    draw = random.Random(plan.seed)  # noqa: S311 - not a secret
    return [_body(plan, model, _prompt(plan, draw, number), _drawn(draw, plan.max_tokens)) for number in range(count)]


def _prompt(plan: Plan, draw: random.Random, number: int) -> str:
    if plan.prompts:
        return plan.prompts[number % len(plan.prompts)]
    return " ".join(draw.choices(_WORDS, k=_drawn(draw, plan.prompt_words)))


def _drawn(draw: random.Random, between: Between) -> int:
    return draw.randint(between.least, between.most)


def _body(plan: Plan, model: str, prompt: str, max_tokens: int) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]} if plan.chat else {"prompt": prompt}
    body = {"model": model, **asked, "max_tokens": max_tokens, "temperature": 0}
    if plan.ignore_eos:
        body["ignore_eos"] = True
    if plan.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body
