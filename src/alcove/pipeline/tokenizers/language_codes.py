"""What a client is told whose language a model does not have, or who names none. Used by the `language_` files."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

from alcove.errors import InvalidRequest

Param = Literal["source_lang", "target_lang"]


def unknown(code: str, codes: Iterable[str], param: Param) -> InvalidRequest:
    """The model has no such language; names the nearest."""
    known = sorted(codes)
    near = get_close_matches(code, known, n=3, cutoff=0.3) or known[:3]
    return InvalidRequest(
        f"{param}: {code!r} is no language of this model; the nearest of its {len(known)} codes: {', '.join(near)}.",
        param=param,
    )


def missing(codes: Iterable[str], param: Param) -> InvalidRequest:
    """The request must name a language; gives examples."""
    what = "text" if param == "source_lang" else "answer"
    return InvalidRequest(
        f"This model needs the language of the {what}: set {param} to one of its codes, "
        f"such as {', '.join(sorted(codes)[:3])}.",
        param=param,
    )
