"""P3: what is streamed is what comes whole, in text and usage, on every engine."""

import random
import tomllib
from dataclasses import dataclass, replace

import uvloop

from tests.bench.figures import Row, at_most
from tests.soak.client import Client
from tests.soak.endings import read
from tests.soak.load import Question, by_clients
from tests.soak.setting import Setting
from tests.soak.watched import Watched, echo, watching
from tests.zoo import build

CLIENTS = 16
WORDS = [
    "snake",
    "grüße",
    "東京",
    "naïve",
    "\U0001f469\u200d\U0001f467",
    "ที่",
    "e\u0301",
    "house",
    "12",
    "🙂",
    "и",
    "the",
    "\n",
]
HOW = (
    "Each prompt is asked whole and as a stream, 16 requests at a time, so that its company differs: words, numbers, "
    "emoji, combining marks and several scripts; a third of them with a stop text that may lie across chunks, a third "
    "sampled with a seed. Compared are text and usage. With int8 activations a last bit that depends on a batch's "
    "shape may decide between two tokens that are about equally probable: an encoder-decoder's answers to such prompts "
    "as these, which mean nothing, may depend on their company. So it is asked by one client, too, where only "
    "streaming can make a difference, and with float32."
)


@dataclass(frozen=True, slots=True)
class _Load:
    """A model and how it is asked."""

    what: str
    table: str
    count: int
    clients: int = CLIENTS

    @property
    def model(self) -> str:
        return str(tomllib.loads(self.table)["model"][0]["name"])


def measure(setting: Setting) -> list[Row]:
    setting.say("P3: making a T5 of random weights")
    folder = build("t5", setting.scratch / "zoo")
    few = setting.pick(60, 1_000, 1_000)
    loads = [
        _Load("echo engine", echo("echo", workers=2), setting.pick(100, 1_000, 1_000)),
        _Load("alcove-seq2seq, float32", _model("seq2seq-32", "builtin:alcove-seq2seq", "float32"), few),
        _Load("alcove-chat, float32", _model("chat-32", "builtin:alcove-chat", "float32"), few),
        _Load("alcove-chat, int8", _model("chat", "builtin:alcove-chat"), few),
        seq2seq := _Load("alcove-seq2seq, int8, one client", _model("seq2seq", "builtin:alcove-seq2seq"), few, 1),
        _Load("T5 of random weights, transformers", _model("t5", str(folder)), setting.pick(10, 200, 1_000)),
    ]
    with watching(setting.scratch, *(load.table for load in loads)) as watched:
        if setting.form != "short":  # its answers may depend on its company, see HOW
            loads.append(replace(seq2seq, what="alcove-seq2seq, int8", clients=CLIENTS))
        return [uvloop.run(_compare(setting, watched, load)) for load in loads]


async def _compare(setting: Setting, watched: Watched, load: _Load) -> Row:
    model, count = load.model, load.count
    setting.say(f"P3: {count:,} prompts, whole and streamed: {load.what}")
    questions = [_question(model, number) for number in range(count)]
    found: dict[int, list[object]] = {number: [] for number in range(count)}

    async def one(client: Client, turn: int) -> None:
        number, streamed = turn // 2, turn % 2 == 1
        question = questions[number]
        asked = Question(model, question.prompt, "", question.max_tokens, streamed, question.more)
        ending = read(await client.ask(asked.request(), timeout_s=120))
        found[number].append((ending.text, ending.usage, ending.whole) if ending.whole else ending)

    order = list(range(2 * count))
    random.Random(3).shuffle(order)
    await by_clients(watched.port, load.clients, order, one)
    differing = [number for number, (one_way, other) in found.items() if one_way != other]
    unanswered = sum(not isinstance(ending, tuple) for both in found.values() for ending in both)
    texts = sum(bool(both[0][0]) for both in found.values() if isinstance(both[0], tuple))
    told = f"{texts:,} with a text" + (f"; {unanswered} not answered" if unanswered else "")
    if differing:
        told += f"; first {found[differing[0]]}"
    return Row(
        what=f"{load.what}: prompts answered otherwise",
        value=len(differing) + unanswered,
        shown=f"{len(differing) + unanswered} of {count:,}",
        bar=at_most(0),
        beside=(told[:300],),
    )


def _question(model: str, number: int) -> Question:
    chance = random.Random(number)
    prompt = " ".join(chance.choice(WORDS) for _ in range(chance.randint(3, 16)))
    more: dict[str, object] = {"seed": number, "temperature": [0, 0, 1][number % 3]}
    if number % 3 == 1:
        more["stop"] = [prompt[4:6] if model == "echo" else "e "]
    return Question(model, prompt, "", chance.randint(4, 40 if model != "t5" else 12), False, more)


def _model(name: str, source: str, compute_type: str = "auto") -> str:
    return f'[[model]]\nname = "{name}"\nsource = "{source}"\ncompute_type = "{compute_type}"\n'
