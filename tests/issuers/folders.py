"""Issuers with their key files in a folder of the test's."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from twisted.logger import LogLevel, formatEvent

from authbridge.issuers.settings import IssuerSettings
from authbridge.settings import Mistakes, Table
from tests.tokens import mint

NAME = "https://www.example.org"
USUAL: dict[str, dict[str, Any]] = {
    "jwt": {"keys": ["keys"], "algorithms": ["ES256"], "domains": ["example.org"]},
    "compact": {"kind": "compact", "keys": ["keys"], "domains": ["example.org"]},
    "xcauth": {"kind": "xcauth", "keys": ["keys"], "domains": ["example.org"]},
}
SECRETS = [hashlib.sha512(b"secret %d" % number).hexdigest()[:40].encode() for number in range(9)]


def read(
    folder: Path, kind: str = "jwt", /, name: str = NAME, **given: Any
) -> tuple[IssuerSettings, list[str]]:
    """The settings of an issuer, the usual but for what is given (None: left out), and the mistakes
    in them."""
    mistakes = Mistakes()
    data = {key: value for key, value in (USUAL[kind] | given).items() if value is not None}
    table = Table(data, f'issuers."{name}"', mistakes, folder)
    return IssuerSettings.read(name, table), list(mistakes)


def settings(folder: Path, kind: str = "jwt", /, name: str = NAME, **given: Any) -> IssuerSettings:
    """Settings without a mistake."""
    found, mistakes = read(folder, kind, name=name, **given)
    assert mistakes == []
    return found


def write(path: Path, content: bytes | dict[str, Any], mode: int = 0o600) -> None:
    """Put a file into its place as a whole, as administrators and their tools do."""
    new = path.parent / f".{path.name}.new"
    new.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    new.chmod(mode)
    new.replace(path)


def later(path: Path) -> None:
    """Let the times of a file that was written in place be others: those of a file system may be
    coarse."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 10_000_000))


def pem(owner: str, algorithm: str = "ES256", *, private: bool = False) -> bytes:
    """The key of an owner."""
    key = mint.key(algorithm, owner)
    return key.private_pem() if private else key.public_pem()


def said(events: list[dict[str, Any]], level: LogLevel = LogLevel.error) -> list[str]:
    """What the log has of a level."""
    return [formatEvent(event) for event in events if event["log_level"] is level]
