"""extauth on a pair of pipes, in this process: what `authbridge-extauth --standalone` serves.

The pipes are read and written directly: Twisted's StandardIO costs two more system calls and a
turn of the reactor for each answer, and makes descriptors non-blocking that are not ours alone.
"""

from __future__ import annotations

import os
import select
from collections import deque
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge.frontends.extauth import MOST_IN_A_TURN, MOST_UNANSWERED, ExtauthFrontEnd
from authbridge.wire.extauth import FrameReader

LAST_WORDS = 0.7
"""Seconds after the end of input in which owed answers may still come."""

log = Logger()


def write_all(descriptor: int, octets: bytes) -> None:
    """Write answers. Blocking: who does not read its answers gets no more of them."""
    while octets:
        try:
            octets = octets[os.write(descriptor, octets) :]
        except BlockingIOError:  # somebody has made the pipe so
            select.select([], [descriptor], [])


class Slot:
    """The place of one answer in the order of the requests."""

    __slots__ = ("answer", "frame")

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.answer = b""


@implementer(IReadDescriptor)
class Pipe:
    """Requests from one descriptor, answers to another, in order."""

    def __init__(self, front_end: ExtauthFrontEnd, stdin: int, stdout: int, reactor: Any) -> None:
        self._front_end = front_end
        self._stdin = stdin
        self._stdout = stdout
        self._reactor = reactor
        self._frames = FrameReader()
        self._unasked: deque[bytes] = deque()  # read, and of a later turn; at most one read's
        self._next_turn = False
        self._slots: deque[Slot] = deque()
        self._reading = False
        self._batch = False
        self._ended = False
        self._stopped = False

    def start(self) -> None:
        """Begin to read."""
        self._read(True)

    def fileno(self) -> int:
        """The descriptor that is read."""
        return self._stdin

    def logPrefix(self) -> str:
        """Our name in a failure's event."""
        return "extauth"

    def doRead(self) -> None:
        """The reactor has found octets, or the end."""
        data = os.read(self._stdin, 65536)
        if not data:
            self._end()
            return
        self._unasked.extend(self._frames.feed(data))
        self._ask()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gives up the descriptor: nothing more can be asked."""
        self._end()

    def _ask(self) -> None:
        self._next_turn = False
        self._batch = True  # what is answered at once is written in one piece
        room = MOST_UNANSWERED - len(self._slots)
        for _ in range(min(len(self._unasked), room, MOST_IN_A_TURN)):
            slot = Slot(self._unasked.popleft())
            self._slots.append(slot)
            try:
                self._front_end.ask(slot.frame, partial(self._answered, slot))
            except Exception:  # noqa: BLE001 - who ends gets the same request again elsewhere
                log.failure("a request could not be asked")
                slot.answer = slot.answer or self._front_end.outage(slot.frame)
        self._batch = False
        self._flush()

    def _answered(self, slot: Slot, answer: bytes) -> None:
        slot.answer = answer
        if not self._batch:
            self._flush()

    def _flush(self) -> None:
        ready = b""
        while self._slots and self._slots[0].answer:
            ready += self._slots.popleft().answer
        try:
            write_all(self._stdout, ready)
        except BrokenPipeError:
            self._stop()
            return
        if self._ended and not self._slots:
            self._stop()
        elif not self._ended:
            self._go_on()

    def _go_on(self) -> None:
        room = len(self._slots) < MOST_UNANSWERED
        # What was read is asked before more is read, and before the end of input can be met.
        self._read(room and not self._unasked)
        if self._unasked and room and not self._next_turn:
            self._next_turn = True
            self._reactor.callLater(0, self._ask)

    def _read(self, wanted: bool) -> None:
        if wanted and not self._reading:
            self._reactor.addReader(self)
        elif not wanted and self._reading:
            self._reactor.removeReader(self)
        self._reading = wanted

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._read(False)
        if self._slots:
            self._reactor.callLater(LAST_WORDS, self._give_up)
        else:
            self._stop()

    def _give_up(self) -> None:
        for slot in self._slots:
            slot.answer = slot.answer or self._front_end.outage(slot.frame)
        self._flush()

    def _stop(self) -> None:
        self._unasked.clear()
        if self._reactor.running and not self._stopped:
            self._stopped = True
            self._reactor.stop()
