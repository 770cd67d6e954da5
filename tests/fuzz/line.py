"""A connector, and the frames that it has been given."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.fuzz.directory_frames import Frame, cut, frame

LOST = 30.0
"""Seconds after which an answer will not come any more."""


@dataclass(slots=True)
class Asked:
    """A frame on its way, and when its last octet was written."""

    frame: Frame
    sent: float = 0.0


class Line:
    """A connector between two pipes, with frames ahead."""

    def __init__(self, command: Sequence[str], seed: int) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.stdin, False)
        self._dice = random.Random(seed)
        self._asked: deque[Asked] = deque()
        self._pieces: deque[tuple[bytes, tuple[Asked, ...]]] = deque()
        self._rest = b""
        self.quiet_until = 0.0

    @property
    def ahead(self) -> int:
        """Frames that have no answer yet."""
        return len(self._asked)

    @property
    def has_pieces(self) -> bool:
        return bool(self._pieces)

    def ask(self, count: int) -> None:
        """Frames to be sent, in pieces that have nothing to do with where a frame ends."""
        batch = [Asked(frame(self._dice)) for _ in range(count)]
        self._asked += batch
        ends = deque[tuple[int, Asked]]()
        at = 0
        for asked in batch:
            at += len(asked.frame.octets)
            ends.append((at, asked))
        at = 0
        for piece in cut(self._dice, b"".join(asked.frame.octets for asked in batch)):
            at += len(piece)
            ended = []
            while ends and ends[0][0] <= at:
                ended.append(ends.popleft()[1])
            self._pieces.append((piece, tuple(ended)))

    def send(self) -> None:
        """One piece, or a part of one."""
        piece, ended = self._pieces.popleft()
        try:
            sent = os.write(self.stdin, piece)
        except BlockingIOError:
            sent = 0
        if sent < len(piece):
            self._pieces.appendleft((piece[sent:], ended))
            return
        now = time.monotonic()
        for asked in ended:
            asked.sent = now

    def hear(self) -> Iterator[tuple[Asked, bytes]]:
        """Answers that have come: each is the first frame's that has none."""
        octets = os.read(self.stdout, 65536)
        assert octets, "a connector has ended"
        octets = self._rest + octets
        whole = len(octets) // 4 * 4
        self._rest = octets[whole:]
        for at in range(0, whole, 4):
            assert self._asked, "an answer that nobody asked for"
            asked, answer = self._asked.popleft(), octets[at : at + 4]
            assert asked.sent, "an answer to a frame that is not yet there"
            yield asked, answer

    def check_patience(self) -> None:
        if self._asked and self._asked[0].sent:
            assert time.monotonic() - self._asked[0].sent < LOST, "an answer is lost"

    def end(self) -> bytes:
        """End the input within a frame; what is still written."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        os.write(self.stdin, b"\x00\x20auth:user00:direct")
        self.process.stdin.close()
        octets = self._rest + self.process.stdout.read()
        self.process.stdout.close()
        assert self.process.wait(LOST) == 0
        return octets

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        with self.process:
            pass
