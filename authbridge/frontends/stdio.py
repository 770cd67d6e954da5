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
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge.frontends.extauth import MOST_UNANSWERED, ExtauthFrontEnd
from authbridge.wire.extauth import FrameReader

LAST_WORDS = 0.7
"""Seconds after the end of input in which owed answers may still come."""


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
        self._slots: deque[Slot] = deque()
        self._reading = False
        self._ended = False
        self._batch = False

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
        self._batch = True  # what is answered at once is written in one piece
        for frame in self._frames.feed(data):
            slot = Slot(frame)
            self._slots.append(slot)
            self._front_end.ask(frame, partial(self._answered, slot))
        self._batch = False
        self._flush()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gives up the descriptor: nothing more can be asked."""
        self._end()

    def _answered(self, slot: Slot, answer: bytes) -> None:
        slot.answer = answer
        if not self._batch:
            self._flush()

    def _flush(self) -> None:
        ready = b""
        while self._slots and self._slots[0].answer:
            ready += self._slots.popleft().answer
        while ready:
            try:
                # Blocking: who does not read its answers gets no more of them.
                ready = ready[os.write(self._stdout, ready) :]
            except BlockingIOError:  # somebody has made the pipe so
                select.select([], [self._stdout], [])
            except BrokenPipeError:
                self._stop()
                return
        if self._ended and not self._slots:
            self._stop()
        elif not self._ended:
            self._read(len(self._slots) < MOST_UNANSWERED)

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
        if self._reactor.running:
            self._reactor.stop()
