"""What huggingface_hub and its client raise -> a `ModelLoadError`, one line with the remedy. Used by `store/hub.py`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from alcove.errors import ModelLoadError
from alcove.store.places import Reference


@contextmanager
def refusals(reference: Reference) -> Iterator[None]:
    """Turn what huggingface_hub and its client raise into one line."""
    repo = reference.repo
    try:
        yield
    except GatedRepoError:
        raise ModelLoadError(
            f"{repo}: access must be asked for on its page; then set HF_TOKEN to a token of your account"
        ) from None
    except RepositoryNotFoundError:
        raise ModelLoadError(f"{repo}: no such repository on the Hub, or it is private (then set HF_TOKEN)") from None
    except RevisionNotFoundError:
        raise ModelLoadError(
            f"{repo}: has no revision {reference.revision!a}; without one it is its main branch"
        ) from None
    except OfflineModeIsEnabled:
        raise ModelLoadError(
            f"{reference}: is not on this machine, and HF_HUB_OFFLINE forbids to fetch it: unset it, and pull again"
        ) from None
    except HfHubHTTPError as error:
        raise ModelLoadError(f"{repo}: the Hub refused: {_first_line(error)}; the same command goes on") from None
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise ModelLoadError(f"{repo}: not fetched: {_reason(error)}; the same command goes on") from None


def _reason(error: Exception) -> str:
    """What went wrong; the client wraps the system's own error, whose text is the best."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        cause = cause.__cause__ or cause.__context__
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
