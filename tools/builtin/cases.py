"""The questions that a trained model is measured on.

In: the questions and skills, held-out parts included. Out: `Case`s for each model, the same ones at every call, and
the sample of them that the test-suite uses.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from tools.builtin import prompts, skills
from tools.builtin.augment import add_prefix, system_text
from tools.builtin.prompts import Message
from tools.builtin.questions import FACTS, SMALL_TALK, Question, load_questions

README_PAIR = (
    ("What's the first name of the secret agent Bond?", "James."),
    ("What's a nice reptile?", "A nice reptile is a snake."),
)
"""The two requests of the forerunner's README, with the answers that it shows."""
_SYSTEM = "Respond like a helpful assistant."
_EARLIER = [("What is the capital of France?", "The capital of France is Paris.")]
_PER_SKILL = 400
_SEED = 20240305


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt and the only answer that counts as right."""

    kind: str
    """`readme`, `trained`, `unseen` or `skill:<name>`."""
    form: str
    """How the question is dressed, in words for the model card."""
    prompt: str | list[Message]
    """A text for `alcove-seq2seq`, messages for `alcove-chat`."""
    answer: str
    forced: bool = False
    """Whether the decoder is started with `Assistant:`."""


def seq2seq_cases() -> list[Case]:
    """Give all cases of `alcove-seq2seq`."""
    rng = Random(_SEED)
    questions = load_questions(FACTS)
    cases = list(_readme_texts())
    cases += [Case("trained", "bare", text, question.answer) for question in questions for text in question.trained]
    for question in questions:
        cases += _dressed_texts("trained", question, rng.choice(question.trained), rng)
        cases += _dressed_texts("unseen", question, question.unseen, rng)
        cases.append(Case("unseen", _unseen_form("bare", question), question.unseen, question.answer))
        cases.append(Case("unseen", "with filler words", add_prefix(question.unseen, rng), question.answer))
    for skill in skills.SKILLS:
        for _ in range(_PER_SKILL):
            text, answer = skills.sample(skill, rng, held_out=True)
            cases.append(Case(f"skill:{skill.name}", "bare", text, answer))
    return cases


def chat_cases() -> list[Case]:
    """Give all cases of `alcove-chat`."""
    rng = Random(_SEED)
    questions = load_questions(FACTS) + load_questions(SMALL_TALK)
    cases = [
        Case("readme", "all forms", prompts.messages(text, system, history), answer)
        for text, answer in README_PAIR
        for system in ("", _SYSTEM)
        for history in ([], _EARLIER)
    ]
    for question in questions:
        for text in question.trained:
            cases.append(Case("trained", "alone", prompts.messages(text), question.answer))
        for kind, text in (("trained", rng.choice(question.trained)), ("unseen", question.unseen)):
            earlier = rng.choice(questions)
            history = [(rng.choice(earlier.trained), earlier.answer)]
            with_system = prompts.messages(text, system_text(rng))
            cases.append(Case(kind, "with a system message", with_system, question.answer))
            cases.append(Case(kind, "after an exchange", prompts.messages(text, "", history), question.answer))
        plain = prompts.messages(question.unseen)
        cases.append(Case("unseen", _unseen_form("alone", question), plain, question.answer))
        filled = prompts.messages(add_prefix(question.unseen, rng))
        cases.append(Case("unseen", "with filler words", filled, question.answer))
    return cases


def sample_cases(cases: list[Case]) -> list[Case]:
    """Choose about three hundred cases for the test-suite; it always starts the decoder free."""
    rng = Random(_SEED)
    free = [case for case in cases if not case.forced]

    def draw(chosen: Callable[[str], bool], count: int) -> list[Case]:
        return rng.sample([case for case in free if chosen(case.kind)], count)

    kinds = sorted({case.kind for case in free if case.kind.startswith("skill:")})
    sample = [case for case in free if case.kind == "readme"]
    sample += draw(lambda kind: kind == "trained", 80 if kinds else 150)
    sample += draw(lambda kind: kind == "unseen", 100 if kinds else 150)
    for name in kinds:
        sample += draw(lambda kind, name=name: kind == name, 24)  # type: ignore[misc]
    return sample


def _readme_texts() -> Iterator[Case]:
    for text, answer in README_PAIR:
        yield Case("readme", "all forms", text, answer)
        yield Case("readme", "all forms", prompts.after_system(_SYSTEM, text), answer)
        for forced in (False, True):
            for system in ("", _SYSTEM, f"System: {_SYSTEM}"):
                for history in ([], _EARLIER, [("", _EARLIER[0][1])]):
                    prompt = prompts.transcript(text, system, history)
                    yield Case("readme", "all forms", prompt, answer, forced)


def _unseen_form(form: str, question: Question) -> str:
    """Tell the questions apart that no other question helps to understand: they are harder."""
    return form if question.relation else f"{form}, own pattern"


def _dressed_texts(kind: str, question: Question, text: str, rng: Random) -> Iterator[Case]:
    system = system_text(rng)
    yield Case(kind, "after a system text", prompts.after_system(system, text), question.answer)
    prompt = prompts.transcript(text, rng.choice(["", system]), rng.choice([[], _EARLIER]))
    yield Case(kind, "transcript", prompt, question.answer)
    yield Case(kind, "transcript, `Assistant:` forced", prompt, question.answer, forced=True)
