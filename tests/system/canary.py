"""Every secret of the run is made or named here, so that the last test can look for each of them
everywhere.

What is looked through: all log files and outputs the run has written, and the command lines of all
processes, sampled as long as the run lasts.
"""

import base64
import json
import re
import secrets
import threading
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

from .processes import all_pids, command_line

BEGINNING = 8
"""Octets that a spelling has at least: what is shorter is found by accident."""

_registered: list[bytes] = []

_PASSING = re.compile(
    rb"^\S+ login id=[0-9a-f-]+ |\bms=[0-9.]+"  # ours
    rb"|^[0-9a-f]{8}\.[0-9a-f]{8} 0x[0-9a-f]+ |\b(?:conn|op|qtime|etime)=[0-9.]+"  # slapd's
)


def secret(text: str | bytes) -> bytes:
    """A secret that begins with `text` and is found nowhere by accident; registered."""
    octets = text.encode() if isinstance(text, str) else text
    return watched(octets + b"-" + secrets.token_hex(6).encode())


def watched(octets: bytes) -> bytes:
    """A secret that was made elsewhere, such as a token, registered as it is."""
    _registered.append(octets)
    return octets


def unguarded(text: str) -> bytes:
    """A password for ejabberd's HTTP API, which itself writes it into ejabberd's log (at info).

    It is of no use to look for these there; nobody else's password may be given to the API.
    """
    return f"{text}-{secrets.token_hex(6)}".encode()


def registered() -> tuple[bytes, ...]:
    """All secrets made so far."""
    return tuple(_registered)


def spellings(octets: bytes) -> set[bytes]:
    """What a secret looks like in a log: raw, percent-encoded, escaped, in base64 at any offset."""
    text = octets.decode("utf-8", "surrogateescape")
    latin = octets.decode("latin-1")
    found = {
        octets,
        urllib.parse.quote_from_bytes(octets, safe="").encode(),
        urllib.parse.quote_plus(octets, safe="").encode(),
        repr(octets)[2:-1].encode(),
        json.dumps(text)[1:-1].encode(),
        json.dumps(latin)[1:-1].encode(),
        latin.encode(),
        octets.hex().encode(),
    }
    for escaped in (urllib.parse.quote, urllib.parse.quote_plus):
        found.add(_lower_hex(escaped(octets, safe="")).encode())
    # In base64 the neighbours decide the first and last characters: those are cut off.
    found.update(base64.b64encode(b"\0" * shift + octets)[4:-4] for shift in range(3))
    # A beginning is enough: a log may cut what is long.
    return {spelling[:200] for spelling in found if len(spelling) >= BEGINNING}


def _lower_hex(quoted: str) -> str:
    first, *others = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in others)])


class Search:
    """Looks for all of some secrets in one walk: a search for each spelling of some thousand takes
    minutes."""

    def __init__(self, wanted: Iterable[bytes]) -> None:
        self._beginnings: dict[bytes, list[tuple[bytes, bytes]]] = {}
        for octets in wanted:
            for spelling in spellings(octets):
                self._beginnings.setdefault(spelling[:BEGINNING], []).append((octets, spelling))

    def places(self, haystack: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Each secret that is in `haystack`, and how it is spelled there."""
        for at in range(len(haystack) - BEGINNING + 1):
            for octets, spelling in self._beginnings.get(haystack[at : at + BEGINNING], ()):
                if haystack.startswith(spelling, at):
                    yield octets, spelling


def lines(log: bytes) -> bytes:
    """A log's lines, those once that differ in their time, id and duration alone: after a flood
    they are most of it."""
    return b"\n".join({_PASSING.sub(b"", line) for line in log.splitlines()})


def logs(workspace: Path) -> list[Path]:
    """Every log and output of whatever was started under this folder."""
    return sorted([*workspace.rglob("*.log"), *workspace.rglob("*.out")])


class CommandLines:
    """Samples the arguments of every process, in a thread, until it is stopped."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; `seen` stays."""
        self._over.set()
        self._thread.join()

    def seen(self) -> bytes:
        """All command lines so far."""
        self._look()
        return b"\n".join(sorted(self._seen))

    def _sample(self) -> None:
        while not self._over.wait(0.1):
            self._look()

    def _look(self) -> None:
        self._seen |= {command_line(pid) for pid in all_pids()}
