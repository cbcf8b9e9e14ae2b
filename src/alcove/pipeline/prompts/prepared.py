"""What a prompt becomes before it is encoded, and what its profile asks of the generation, as data.

Made by `prompter.py`, read by `pipeline/model.py`.
"""

from dataclasses import dataclass, field

from alcove.pipeline.text.languagemodels import Rules
from alcove.runs import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A prompt as one text, with what belongs to it."""

    text: str
    """The source text, or the prompt of a causal model."""
    special: bool = True
    """Whether the tokenizer's special tokens are added; a chat template has written them already."""
    prefix: str | None = None
    """Text with which the decoder must go on after its start token; not part of the answer."""
    options: Options = field(default_factory=Options)
    """What the profile asks; a request's own options come first."""
    suppress: tuple[str, ...] = ()
    """Texts whose token sequences the answer must not contain."""
    text_rules: Rules | None = None
    """Which rules of `languagemodels` the answer's text is put through; None: none."""
