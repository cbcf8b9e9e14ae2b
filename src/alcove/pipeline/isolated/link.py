"""Messages over a socket: each is its length in four bytes and msgpack. Used by both sides of the border."""

import socket
import struct
import threading
from typing import Any, Generic, TypeVar

import msgspec

from alcove.pipeline.isolated.messages import Message

Received = TypeVar("Received", bound=Message)

_LENGTH = struct.Struct("!I")
_encode = msgspec.msgpack.Encoder().encode


def packed(message: Message) -> bytes:
    """A message as it goes over the socket."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


class Link(Generic[Received]):
    """One end of the socket. Any thread may send, one receives."""

    def __init__(self, end: socket.socket, received: Any) -> None:
        """`received`: the messages that may come, as a union of types."""
        self._socket = end
        self._incoming = end.makefile("rb")
        self._decode = msgspec.msgpack.Decoder(received).decode
        self._sending = threading.Lock()

    def send(self, data: bytes) -> None:
        """Send what `packed` has made; blocks while the other side does not read. Raises `OSError` when it is gone."""
        with self._sending:
            self._socket.sendall(data)

    def receive(self) -> Received | None:
        """The next message; None when the other side is gone. Raises `msgspec.DecodeError` for anything else."""
        try:
            head = self._incoming.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                return None
            (length,) = _LENGTH.unpack(head)
            body = self._incoming.read(length)
        except OSError:
            return None
        message: Received | None = self._decode(body) if len(body) == length else None
        return message

    def close(self) -> None:
        """Let go of the socket."""
        self._incoming.close()
        self._socket.close()
