"""Draws training examples for both models, endlessly and from one seed.

In: the questions, the skills and the wording. Out: `Seq2SeqExample`s and `ChatExample`s as text; nothing that
is held out (a phrasing of a question, an input of a skill) ever comes out. Used by tokenizer training and training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tools.builtin import prompts, skills
from tools.builtin.augment import add_prefix, normal_form, reword, system_text
from tools.builtin.prompts import Exchange, Message
from tools.builtin.questions import FACTS, SMALL_TALK, Question, load_questions


@dataclass(frozen=True, slots=True)
class Seq2SeqExample:
    """A prompt and what the decoder has to say."""

    prompt: str
    prefix: str
    """What the decoder is given before the answer, empty or `Assistant:`; not learned."""
    answer: str


@dataclass(frozen=True, slots=True)
class ChatExample:
    """A whole conversation; each assistant message in it is learned."""

    messages: list[Message]


class QuestionSource:
    """Draws questions in many wordings, each with its answer."""

    def __init__(self, questions: list[Question]) -> None:
        """Keep the questions, and the held-out phrasings that must not come out."""
        self._questions = questions
        self._held_out = {normal_form(question.unseen) for question in questions}

    def draw(self, rng: Random) -> Exchange:
        """Draw a question, each equally often."""
        question = rng.choice(self._questions)
        while True:
            text = reword(rng.choice(question.trained), rng)
            # A rewording can turn one phrasing of a question into the one that is held out.
            if normal_form(text) not in self._held_out:
                return text, question.answer


def seq2seq_examples(rng: Random) -> Iterator[Seq2SeqExample]:
    """Draw examples for `alcove-seq2seq`: questions and skills, half and half."""
    source = QuestionSource(load_questions(FACTS))
    shares = [skill.share for skill in skills.SKILLS]
    while True:
        if rng.random() < 0.5:
            question, answer = source.draw(rng)
            dressed = 0.55
        else:
            skill = rng.choices(skills.SKILLS, shares)[0]
            question, answer = skills.sample(skill, rng, held_out=False)
            if rng.random() < 0.08:
                question = add_prefix(question, rng)
            dressed = 0.2
        prompt, prefix = _dress(question, source, rng) if rng.random() < dressed else (question, "")
        yield Seq2SeqExample(prompt, prefix, answer)


def _dress(question: str, source: QuestionSource, rng: Random) -> tuple[str, str]:
    """Put a question into one of the longer forms; give the prompt and the decoder's prefix."""
    system = system_text(rng)
    if rng.random() < 0.25:
        return prompts.after_system(system, question), ""
    draw = rng.random()
    if draw < 0.4:
        system = ""
    elif draw < 0.5:
        system = f"System: {system}"
    history: list[Exchange] = []
    if rng.random() < 0.35:
        history = [source.draw(rng) for _ in range(rng.choices([1, 2, 3], [0.85, 0.1, 0.05])[0])]
        if rng.random() < 0.3:
            history[0] = ("", history[0][1])
    prefix = prompts.ASSISTANT_PREFIX if rng.random() < 0.4 else ""
    return prompts.transcript(question, system, history), prefix


def chat_examples(rng: Random) -> Iterator[ChatExample]:
    """Draw conversations of one to three exchanges for `alcove-chat`."""
    facts, small_talk = QuestionSource(load_questions(FACTS)), QuestionSource(load_questions(SMALL_TALK))
    while True:
        count = rng.choices([1, 2, 3], [0.6, 0.3, 0.1])[0]
        exchanges = [(small_talk if rng.random() < 0.2 else facts).draw(rng) for _ in range(count)]
        *history, (question, answer) = exchanges
        system = system_text(rng) if rng.random() < 0.35 else ""
        chat = prompts.messages(question, system, history)
        yield ChatExample([*chat, {"role": "assistant", "content": answer}])
