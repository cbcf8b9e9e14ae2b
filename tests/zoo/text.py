"""Text that the zoo's tokenizers are trained on: sentences of a small grammar, with letters beyond ASCII."""

import random

SUBJECTS = (
    "the cat",
    "a reptile",
    "my neighbour",
    "the café",
    "an old señor",
    "Zoë",
    "the über driver",
    "日本語",
    "James Bond",
)
VERBS = ("likes", "answers", "translates", "does not see", "naïvely eats", "counts", "forgets", "is", "schläft bei")
OBJECTS = (
    "a snake",
    "seventeen apples",
    "the crème brûlée",
    "東京",
    "the question",
    "some 🍎 and 🐍",
    "the agent",
    "Brötchen",
)
ENDINGS = (".", "!", "?", ", then sleeps.", " every day: 1, 2, 3.", " 😀")


def sentences(count: int = 1500, seed: int = 7) -> list[str]:
    """Different sentences; the same at every call."""
    draw = random.Random(seed)
    return [
        f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)}{draw.choice(ENDINGS)}"
        for _ in range(count)
    ]


PROMPTS = (
    "the cat likes a snake.",
    "Zoë translates the crème brûlée, then sleeps. Does the agent forget the question?",
    "日本語 🍎",
    "James Bond answers",
)
"""Prompts of unequal length, some beyond ASCII."""
