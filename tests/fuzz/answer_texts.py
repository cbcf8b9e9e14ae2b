"""Feeds an answer's way from token ids to text what atheris makes of its coverage: `make fuzz`, or
`python -m tests.fuzz.answer_texts -max_total_time=180 CORPUS`. Whatever the vocabulary, the stop strings and the groups
in which ids come, the pieces of text join to what becomes of the whole text, and none comes later than it must.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import atheris
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerBase

with atheris.instrument_imports(include=["alcove.pipeline.text", "alcove.pipeline.tokenizers"]):
    from alcove.pipeline.prompts.prepared import Prepared
    from alcove.pipeline.text.chain import TextChain, text_chain
    from alcove.pipeline.text.languagemodels import Rules
    from alcove.pipeline.tokenizers.decoding import Decoding
    from alcove.pipeline.tokenizers.fast import FastTokenizer
    from alcove.pipeline.tokenizers.files import TokenizerFiles

END = "</w>"
"""Of a word, in vocabularies of letter pairs: only ever at a token's end."""
LLAMA = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
DECODERS = (
    decoders.ByteLevel(),
    decoders.Metaspace(),
    decoders.Sequence(LLAMA),
    decoders.Sequence(LLAMA[:3]),
    decoders.WordPiece(),
    decoders.BPEDecoder(END),
    None,
)
RULES: tuple[Rules | None, ...] = (None, None, "completion", "chat")
SPECIAL = "</s>"
NO_FILES = TokenizerFiles(Path("nowhere"), {}, frozenset(), {}, (), {})


@dataclass(frozen=True)
class Answer:
    """What is made of an input: three bytes of choices, then stop strings and the texts of the tokens, with NUL
    between."""

    tokenizer: Tokenizer
    ids: list[int]
    groups: int
    """Its bits say, over and over, behind which token a group of ids ends."""
    clean_up: bool
    stops: list[str]
    keep_stop: bool
    unsearched: int
    """First tokens in which no stop string is looked for."""
    rules: Rules | None


def answer_of(data: bytes) -> Answer:
    kind, choices, groups = data[:3]
    texts = data[3:].decode("utf-8", "replace").split("\0")
    stops = texts[: choices >> 6]
    tokens = [text for text in texts[choices >> 6 :] if text and END not in text.removesuffix(END)]
    vocabulary = {text: number for number, text in enumerate(dict.fromkeys([SPECIAL, *tokens]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL))
    tokenizer.add_special_tokens([SPECIAL])
    if (decoder := DECODERS[kind % len(DECODERS)]) is not None:
        tokenizer.decoder = decoder
    return Answer(
        tokenizer=tokenizer,
        ids=[vocabulary[text] for text in tokens],
        groups=groups,
        clean_up=bool(choices & 1),
        stops=stops,
        keep_stop=bool(choices & 2),
        unsearched=choices >> 2 & 3,
        rules=RULES[choices >> 4 & 3],
    )


def streamed(answer: Answer, whole: str) -> tuple[TextChain, int, str]:
    """The chain at its end, how much of the text was not searched, and the pieces, joined."""
    tokenizer = FastTokenizer(answer.tokenizer, NO_FILES, Decoding(clean_up=answer.clean_up))
    prepared = Prepared(text="", text_rules=answer.rules)
    chain = text_chain(tokenizer, answer.stops, prepared, keep_stop=answer.keep_stop)
    first, rest = answer.ids[: answer.unsearched], answer.ids[answer.unsearched :]
    text = "".join(chain.feed([token], search=False) for token in first)
    border = chain.length
    group: list[int] = []
    for place, token in enumerate(rest):
        group.append(token)
        if answer.groups >> place % 8 & 1:
            text += chain.feed(group)
            group = []
            if answer.rules is None and not chain.stopped:
                known = whole[: chain.length]
                assert text == known[: len(known) - begun(known[border:], answer.stops)], "some of it comes late"
    text += chain.feed(group) + chain.flush()
    assert chain.feed(answer.ids) + chain.flush() == "", "text after the end"
    return chain, border, text


def begun(text: str, stops: list[str]) -> int:
    """How many letters at the end may be the beginning of a stop string."""
    return max((size for stop in stops for size in range(len(stop)) if text.endswith(stop[:size])), default=0)


def stopped(text: str, stops: list[str], *, keep: bool) -> tuple[str, str | None]:
    """The text up to the stop string that is complete first, of several the longest; and that string."""
    for end in range(1, len(text) + 1):
        if ending := [stop for stop in stops if stop and text.endswith(stop, 0, end)]:
            longest = max(ending, key=len)
            return text[: end if keep else end - len(longest)], longest
    return text, None


def tidied(text: str, rules: Rules | None) -> str:
    """The rules of `languagemodels`."""
    if rules is None:
        return text
    text = text.replace("`", "'").lstrip()
    if rules == "chat":
        text = re.sub(r"\AAssistant:\s*", "", text)
    if quoted := re.fullmatch(r'"(.*?)"?', text, re.DOTALL):
        text = quoted[1]
    if rules == "completion" and re.fullmatch(r"\s*\S+\s*", text):
        text = re.sub(r"(?<![.!?])\Z", ".", text.rstrip().title())
    return text


def one(data: bytes) -> None:
    """The whole text is the library's own, tidied by transformers where that is asked for."""
    if len(data) < 3:
        return
    answer = answer_of(data)
    whole = answer.tokenizer.decode(answer.ids, skip_special_tokens=True)
    if answer.clean_up:
        whole = PreTrainedTokenizerBase.clean_up_tokenization(None, whole)
    chain, border, text = streamed(answer, whole)
    searched, stop = stopped(whole[border:], answer.stops, keep=answer.keep_stop)
    assert text == tidied(whole[:border] + searched, answer.rules)
    assert chain.stop == stop


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
