"""Generated frames through the real connector and the real daemon.

The invariant: whatever arrives, in whatever pieces, the program writes exactly one answer of four
octets for each complete frame, in their order, and each is the right one for its frame; an
incomplete frame at the end has none. Nothing crashes, and nothing grows.

    python -m tests.fuzz.frames 1000000      the torture run: prints what it saw
"""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.test_daemon import ROOT, RUN, Daemon

VERBS = [b"auth", b"isuser", b"setpass", b"tryregister", b"removeuser", b"removeuser3", b"certauth"]
PROGRAM = ROOT / "bin" / "authbridge-extauth"
RIGHT = b"wonderland"
MOST_GROWTH = 24
"""Megabytes, of the daemon over a torture run and of a connector over its share."""
WAIT = 60
"""Seconds without any answer after which one is lost."""


@dataclass(frozen=True)
class Frame:
    octets: bytes
    answer: bytes


def frame(dice: random.Random) -> Frame:
    """One frame and its right answer, by rules written down apart from the product's."""
    kind = dice.random()
    if kind < 0.25:
        return Frame(b"auth:alice:example.org:" + RIGHT, TRUE)
    if kind < 0.40:
        wrong = RIGHT + b":" + dice.randbytes(dice.choice([0, 1, 8, 300]))
        return Frame(b"auth:alice:example.org:" + wrong, FALSE)
    if kind < 0.55:
        user = dice.choice([b"alice", b"Alice", b"bob", b"a b", b""])
        return Frame(b"isuser:%b:example.org" % user, TRUE if user.lower() == b"alice" else FALSE)
    if kind < 0.65:
        host = dice.choice([b"example.net", b"", b"sub.example.org", b"\xff"])
        return Frame(b"auth:alice:%b:%b" % (host, RIGHT), FALSE)
    if kind < 0.80:
        verb = dice.choice(VERBS[2:])
        return Frame(b"%b:alice:example.org:x" % verb, ERROR if verb == b"setpass" else FALSE)
    if kind < 0.90:
        cut = b"%b:alice:example.org:%b" % (dice.choice(VERBS), RIGHT)
        octets = cut[: dice.randrange(cut.index(b"example"))]
        return Frame(octets, ERROR if octets.startswith(b"setpass:") else FALSE)
    size = dice.choice([0, 1, 2, 40, 1000, 65535])
    return Frame(b"\xfe" * min(size, 1) + dice.randbytes(max(size - 1, 0)), FALSE)


def pieces(dice: random.Random, octets: bytes) -> Iterator[bytes]:
    """The same octets whole, in a few pieces, or one by one."""
    how = dice.random()
    if how < 0.5:
        yield octets
    elif how < 0.9 or len(octets) > 2000:
        while octets:
            size = dice.randrange(1, len(octets) + 1)
            yield octets[:size]
            octets = octets[size:]
    else:
        yield from (bytes([octet]) for octet in octets)


class Pipe:
    """The program between two pipes, as ejabberd has it."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.stdin, False)
        self.answered = bytearray()

    def write(self, octets: bytes) -> None:
        """Write, reading meanwhile: the program waits for who does not read."""
        while octets:
            readable, writable, _ = select.select([self.stdout], [self.stdin], [], WAIT)
            assert readable or writable, "the program takes nothing and answers nothing"
            if readable:
                self._read()
            if writable:
                octets = octets[os.write(self.stdin, octets) :]

    def read(self, count: int) -> bytes:
        """The next `count` octets of the answers."""
        while len(self.answered) < count:
            assert select.select([self.stdout], [], [], WAIT)[0], "an answer is lost"
            self._read()
        taken = bytes(self.answered[:count])
        del self.answered[:count]
        return taken

    def end(self) -> bytes:
        """End the input; what the program still writes."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        while piece := os.read(self.stdout, 65536):
            self.answered += piece
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert self.process.wait(WAIT) == 0
        return bytes(self.answered)

    def _read(self) -> None:
        piece = os.read(self.stdout, 65536)
        assert piece, "the program has ended"
        self.answered += piece


def drive(command: list[str], count: int, seed: int) -> int:
    """Send `count` frames in batches, pipelined, and compare every answer.

    Returns by how many octets the program has grown since its first tenth.
    """
    dice = random.Random(seed)
    pipe = Pipe(command)
    sent, before = 0, 0
    while sent < count:
        if not before and sent >= count // 10:
            before = memory(pipe.process.pid)
        batch = [frame(dice) for _ in range(min(dice.choice([1, 1, 5, 200]), count - sent))]
        octets = b"".join(len(f.octets).to_bytes(2, "big") + f.octets for f in batch)
        for piece in pieces(dice, octets):
            pipe.write(piece)
        expected = b"".join(f.answer for f in batch)
        got = pipe.read(len(expected))
        assert got == expected, f"seed {seed}, behind frame {sent}"
        assert not pipe.answered, "an answer that nobody asked for"
        sent += len(batch)
    grown = memory(pipe.process.pid) - before
    pipe.write(b"\x00\x20auth:alice:exam")  # cut off: no answer
    assert pipe.end() == b""
    return grown


def memory(pid: int) -> int:
    """Resident octets of a process."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def main(count: int) -> None:
    """The torture run."""
    daemon = Daemon(RUN)
    connector = [str(PROGRAM), "--socket", f"{daemon.folder}/extauth.sock"]
    try:
        drive(connector, 20_000, 0)  # caches filled, threads started
        before, fds = memory(daemon.process.pid), descriptors(daemon.process.pid)
        began = time.monotonic()
        for turn in range(count // 100_000):
            connector_grown = drive(connector, 100_000, turn + 1) / 1e6
            grown = (memory(daemon.process.pid) - before) / 1e6
            rate = (turn + 1) * 100_000 / (time.monotonic() - began)
            print(
                f"{(turn + 1) * 100_000} frames, {rate:.0f}/s, daemon grown by {grown:.1f} MB, "
                f"connector by {connector_grown:.1f} MB, "
                f"{descriptors(daemon.process.pid) - fds:+d} descriptors",
                flush=True,
            )
            assert max(grown, connector_grown) < MOST_GROWTH
            assert abs(descriptors(daemon.process.pid) - fds) <= 8
    finally:
        daemon.remove()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
