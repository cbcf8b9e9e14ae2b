"""Writes docs/parameters.md, the matrix of what becomes of every field: `python -m tools.parameters_page`.

Made from the request types and the engines' own `capabilities`; a test holds the page to what this makes, and another
holds the table to the truth.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from alcove.engines.ctranslate2.honoured import honoured as ctranslate2_honours
from alcove.engines.transformers.options import honoured as transformers_honours
from alcove.pipeline.options import WIRE_NAMES
from alcove.protocol.chat import ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.fields import ACCEPTED, ALIASES, ENGINE_OPTIONS, REFUSED

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "parameters.md"
HEAD = Path(__file__).parent / "parameters_page_head.md"

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "CTranslate2, encoder-decoder": ctranslate2_honours("seq2seq"),
    "CTranslate2, causal": ctranslate2_honours("causal"),
    "transformers, encoder-decoder": transformers_honours("seq2seq"),
    "transformers, causal": transformers_honours("causal"),
}
"""What each engine honours for each kind of model, and how."""
OPTIONS_OF_FIELDS: Mapping[str, str] = {
    **{field: option for option, field in WIRE_NAMES.items()},
    "bad_words": "bad_words_ids",
    "best_of": "logprobs",
    "do_sample": "temperature",
    "top_logprobs": "logprobs",
    "use_beam_search": "num_beams",
}
"""Fields that ask an engine for an option of another name."""


def fields() -> dict[str, str]:
    """Every field that is declared or passed on, with its meaning."""
    declared = CompletionRequest.model_fields | ChatRequest.model_fields
    own = {name: " ".join((field.description or "").split()) for name, field in declared.items()}
    return own | dict.fromkeys(ENGINE_OPTIONS, "Hugging Face's option of this name.")


def cell(field: str, honoured: Mapping[str, str]) -> str:
    """What an engine makes of a field."""
    option = OPTIONS_OF_FIELDS.get(field, field)
    if not any(option in column for column in COLUMNS.values()) and field not in ENGINE_OPTIONS:
        return "by alcove"
    return f"honoured: {honoured[option]}" if option in honoured else "refused"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD.read_text().rstrip(), "", *_matrix(), *_lists()]) + "\n"


def _matrix() -> Iterator[str]:
    yield "## The matrix"
    yield ""
    yield (
        "`by alcove`: the same for every engine. A field that is refused for a model answers 400 and names itself; its "
        "neutral value is always fine."
    )
    yield ""
    yield f"| Field | Where | Meaning | {' | '.join(COLUMNS)} |"
    yield f"|---|---|---|{'---|' * len(COLUMNS)}"
    for name, meaning in sorted(fields().items()):
        where = {
            (True, True): "both",
            (True, False): "completions",
            (False, True): "chat",
            (False, False): "both",
        }[name in CompletionRequest.model_fields, name in ChatRequest.model_fields]
        cells = " | ".join(cell(name, honoured) for honoured in COLUMNS.values())
        yield f"| `{name}` | {where} | {meaning.replace('|', chr(92) + '|')} | {cells} |"


def _lists() -> Iterator[str]:
    yield from ("", "## Other names", "")
    yield from (f"- `{name}` is `{field}`" for name, field in sorted(ALIASES.items()))
    yield from ("", "## Accepted, for they cannot change the text", "")
    yield ", ".join(f"`{name}`" for name in sorted(ACCEPTED))
    yield from ("", "## Refused by name", "", "| Field | Unless it is | Instead |", "|---|---|---|")
    for name, (neutral, instead) in sorted(REFUSED.items()):
        yield f"| `{name}` | {', '.join(f'`{value!r}`' for value in neutral) or '-'} | {instead} |"


if __name__ == "__main__":
    PAGE.write_text(page())
