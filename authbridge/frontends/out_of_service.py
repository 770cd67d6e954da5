"""extauth while nothing can be decided: `--standalone` with a configuration that cannot be used.

ejabberd gives up programs that end quickly, and waits 30 s for one that says nothing: so every
request is answered, and at once, or when the configuration has been read again.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable

from authbridge.frontends.stdio import write_all
from authbridge.wire.extauth import TRUE, FrameReader, refusal

RETRY = 1.0
"""Seconds between two looks at what keeps us out of service, at least."""
PATIENCE = 10.0
"""How many times longer than a look the time to the next one is: whoever asks meanwhile waits."""


def answer(frame: bytes) -> bytes:
    """The answer where nobody can be asked, and `on_unavailable` cannot be read.

    Nobody is let in and nothing is changed. Whoever is asked for exists: a "no" would lose the
    messages to those who are offline (docs/operations.md).
    """
    return TRUE if frame.startswith(b"isuser:") and frame.count(b":") > 1 else refusal(frame)


class OutOfService:
    """Requests from one descriptor, answers to another. Nothing is ever owed."""

    def __init__(
        self,
        stdin: int,
        stdout: int,
        monotonic: Callable[[], float],
        refused: Callable[[], None],
        mended: Callable[[], bool],
    ) -> None:
        """`refused` is called behind each answer. `mended` tells whether service can begin."""
        self._stdin = stdin
        self._stdout = stdout
        self._monotonic = monotonic
        self._refused = refused
        self._mended = mended
        self._frames = FrameReader()

    def run(self) -> bool:
        """Answer until the input ends or nobody reads the answers: False. True: it is mended, and
        what has not been read is a new start's."""
        poll = select.poll()
        poll.register(self._stdin, select.POLLIN)
        next_look = self._monotonic() + RETRY
        while True:
            if poll.poll(RETRY * 1000) and not self._serve():
                return False
            if self._monotonic() >= next_look and not self._has_begun():
                begun = self._monotonic()
                if self._mended():
                    return True
                ended = self._monotonic()
                next_look = ended + max(RETRY, PATIENCE * (ended - begun))

    def _serve(self) -> bool:
        octets = os.read(self._stdin, 65536)
        if not octets:
            return False
        if answers := b"".join(map(answer, self._frames.feed(octets))):
            try:
                write_all(self._stdout, answers)
            except BrokenPipeError:
                return False
            self._refused()
        return True

    def _has_begun(self) -> bool:
        """Whether a request has begun to arrive: its rest would make no sense to a new start."""
        return not self._frames.holds_one(b"\0\0")
