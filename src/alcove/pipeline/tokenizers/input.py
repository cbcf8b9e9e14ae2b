"""What a text must be before any tokenizer may see it. Called by every `encode` of this package."""

from alcove.errors import InvalidRequest


def unicode_text(text: str) -> str:
    """The text itself. JSON can name halves of surrogate pairs (`"\\ud83d"`), which are no letters and which the
    libraries below answer with errors of their own: they raise `InvalidRequest`."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"The text is not valid Unicode: half a surrogate pair (\\u{ord(text[error.start]):04x}) at character "
            f"{error.start}; send whole letters."
        ) from None
    return text
