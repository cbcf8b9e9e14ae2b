"""Everything that can go wrong, as types that know nothing of HTTP.

Raised anywhere; `server/errors.py` alone turns a type into a status and OpenAI's error body, and the command
line prints the message as one line. A message is written for the person who reads it: it names the field, file
or key, and the remedy.

    AlcoveError
    ├── InvalidRequest            the client's fault; names the field
    │   └── ContextLengthExceeded
    ├── ModelNotFound             no such model is served
    ├── Overloaded                the queue of a model is full; try again
    │   ├── ModelLoading          the model is not in memory yet
    │   └── OutOfMemory           there is no room for it now
    ├── ModelUnavailable          the model could not be loaded
    ├── ShuttingDown              the server is stopping
    ├── EngineFailure             the engine broke while it worked on a run
    │   └── EngineDied            its process ended, and may again on the same request
    ├── DeadlineExceeded          the request took longer than it may
    ├── ConfigurationError        a setting, file or folder is wrong; the server does not start
    └── ModelLoadError            a model folder cannot be served
"""


class AlcoveError(Exception):
    """Base of all errors that alcove raises on purpose; `str(error)` is one line for a person."""


class InvalidRequest(AlcoveError):
    """A request that cannot be honoured."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        """The field at fault as a path into the body, e.g. `messages[0].role`; None when it is the body itself."""
        self.code = code
        """OpenAI's machine-readable code, e.g. `invalid_json`, or None."""


class ContextLengthExceeded(InvalidRequest):
    """The prompt, or the prompt and the wanted answer together, are longer than the model can take."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param, code="context_length_exceeded")


class ModelNotFound(AlcoveError):
    """The request names a model that is not served, or none where none is the default."""


class Overloaded(AlcoveError):
    """A model's queue is full: nothing of the request was begun."""


class ModelLoading(Overloaded):
    """The model is being loaded, and the request has waited for it as long as it may."""


class OutOfMemory(Overloaded):
    """There is no room for the model, or for this request's work, beside what is going on now."""


class ModelUnavailable(AlcoveError):
    """The model could not be loaded; the reason, which may tell of paths, is in the log."""


class ShuttingDown(AlcoveError):
    """The server is stopping and takes no new work."""


class EngineFailure(AlcoveError):
    """An engine raised while it worked on a run; the cause is in the log, never in the answer."""


class EngineDied(EngineFailure):
    """An engine's process ended while it worked on a run, which may have been the reason."""


class DeadlineExceeded(AlcoveError):
    """The request has waited, or its answer has taken, longer than the model's settings allow."""


class ConfigurationError(AlcoveError):
    """A setting cannot be used; the message names its file and key, and the remedy."""


class ModelLoadError(AlcoveError):
    """A model folder cannot be served; the message names the folder or file, and the remedy."""
