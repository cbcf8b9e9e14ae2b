"""Errors as data, so that a run can end with one in any thread or process: `fault_of` makes it where the engine is,
`error_of` turns the run's last step into an exception where the answer is."""

from collections.abc import Iterator, Mapping

from alcove.errors import AlcoveError, EngineDied, EngineFailure, InvalidRequest, OutOfMemory, Overloaded, ShuttingDown
from alcove.runs import Fault, FaultKind, Step

STOPPING = "The server is stopping."

_KINDS: Mapping[type[BaseException], FaultKind] = {
    InvalidRequest: "invalid",
    OutOfMemory: "memory",
    MemoryError: "memory",
    Overloaded: "overloaded",
    ShuttingDown: "stopping",
}
_NO_MEMORY = ("out of memory", "bad_alloc", "allocate memory")
"""How engine libraries say it who raise RuntimeErrors: CUDA's "out of memory", torch's "can't allocate memory",
CTranslate2's "failed to allocate memory" (`src/cpu/allocator.cc`)."""


def fault_of(error: BaseException) -> Fault | None:
    """What kind of error this is; None: the engine has failed."""
    for cause in _causes(error):
        kind = next((_KINDS[base] for base in type(cause).__mro__ if base in _KINDS), None)
        if kind is None and isinstance(cause, RuntimeError) and any(words in str(cause) for words in _NO_MEMORY):
            kind = "memory"
        if isinstance(cause, InvalidRequest):
            return Fault(kind="invalid", param=cause.param, code=cause.code)
        if kind is not None:
            return Fault(kind=kind)
    return None


def error_of(step: Step) -> AlcoveError:
    """What to raise for a step that has an `error`."""
    reason, fault = step.error or "", step.fault
    match fault and fault.kind:
        case "invalid":
            assert fault is not None
            return InvalidRequest(reason, param=fault.param, code=fault.code)
        case "overloaded":
            return Overloaded(reason)
        case "stopping":
            return ShuttingDown(reason)
        case "memory":
            return OutOfMemory("There is not enough memory for this request now: try again, or ask for less at once.")
        case "died":
            return EngineDied(reason)
        case _:
            return EngineFailure(f"run {step.run} failed: {reason}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
