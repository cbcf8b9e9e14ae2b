"""Keeps what the interpreter knows of CTranslate2's threads from one callback to the next. Used by `library.py`.

A thread that Python has not started gets a new thread state for each call into Python and loses it behind, along with a
mapped piece of stack (CPython's `PyGILState_Ensure`, and `gil_scoped_acquire` of pybind11 likewise). Sixteen rows of 64
tokens of a T5 of 60M took 7 % longer with a callback so, and 1.5 % when the state was kept.
"""

import ctypes
from threading import get_ident

_ensure = ctypes.pythonapi.PyGILState_Ensure


class ThreadStates:
    """The threads of one loaded model; its states live as long as the threads do."""

    def __init__(self) -> None:
        self._kept: set[int] = set()

    def keep(self) -> None:
        """To be called in a callback: the calling thread has its state for good from now on."""
        thread = get_ident()
        if thread not in self._kept:
            self._kept.add(thread)
            _ensure()  # counts the state as used once more; nobody ever counts it back
