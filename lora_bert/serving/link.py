"""Messages between two processes, over a pair of pipes: a head of JSON, and arrays."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

_SIZES = struct.Struct("<II")
"""The bytes of the head and of all arrays."""


@dataclass(frozen=True)
class Message:
    """What one process tells the other.

    Attributes:
        head: JSON values by name.
        arrays: Of numbers; not to be changed.
    """

    head: Mapping[str, Any]
    arrays: Sequence[np.ndarray] = ()


class Link:
    """One end of two pipes; any thread may send, one at a time may receive.

    Args:
        reads: Where what the other end sends comes from.
        writes: Where it is sent to.
    """

    def __init__(self, reads: IO[bytes], writes: IO[bytes]) -> None:
        self._reads, self._writes = reads, writes
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message; OSError where the other end is gone."""
        shapes = [(each.dtype.str, each.shape) for each in message.arrays]
        head = json.dumps({**message.head, "arrays": shapes}).encode()
        body = b"".join(each.tobytes() for each in message.arrays)
        with self._sending:
            self._writes.write(_SIZES.pack(len(head), len(body)) + head + body)
            self._writes.flush()

    def receive(self) -> Message:
        """The next message of the other end; EOFError where it is gone."""
        sizes = _SIZES.unpack(self._read(_SIZES.size))
        head, body = (self._read(size) for size in sizes)
        said, arrays, at = json.loads(head), list[np.ndarray](), 0
        for kind, shape in said.pop("arrays"):
            array = np.frombuffer(body, kind, int(np.prod(shape)), at).reshape(shape)
            arrays.append(array)
            at += array.nbytes
        return Message(said, arrays)

    def close(self) -> None:
        """Tell the other end that nothing more comes."""
        with self._sending:
            self._writes.close()

    def _read(self, size: int) -> bytes:
        found = self._reads.read(size)
        if len(found) < size:
            raise EOFError("The other end of the link is gone.")
        return found


class Calls:
    """Asks the process at the other end, for many threads at once.

    Whoever waits for an answer reads, and passes on those of others: no thread is needed for it.

    Args:
        link: To a process that answers each message with one that has its ``number``.
        told: Is given the messages that answer none.
    """

    def __init__(self, link: Link, told: Callable[[Message], None]) -> None:
        self._link, self._told, self._number = link, told, 0
        self._changed = threading.Condition()
        self._answers: dict[int, Message] = {}
        self._reading = False

    def ask(self, head: Mapping[str, Any], arrays: Sequence[np.ndarray] = ()) -> Message:
        """What the other process answers.

        Raises:
            EOFError, OSError: It is gone.
        """
        with self._changed:
            self._number += 1
            number = self._number
        self._link.send(Message({**head, "number": number}, arrays))
        while True:
            with self._changed:
                self._changed.wait_for(lambda: number in self._answers or not self._reading)
                if number in self._answers:
                    return self._answers.pop(number)
                self._reading = True
            self._read()

    def _read(self) -> None:
        answer = None
        try:
            message = self._link.receive()
            if "number" in message.head:
                answer = message
            else:
                self._told(message)
        finally:
            with self._changed:
                self._reading = False
                if answer is not None:
                    self._answers[answer.head["number"]] = answer
                self._changed.notify_all()
