"""The examples of docs/authorities.md, and daemons that run with them: paths, ports and servers are
made ours, there is more time for an answer, and nothing else of them is changed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .calls import BIN
from .canary import secret, watched
from .daemon import Daemon, write_private

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "authorities.md"
ORG = "example.org"

#: The examples by language, and what only one of them has in it.
EXAMPLES = {
    "toml": (
        "[checkers.website]", "[checkers.forum]", "[checkers.forum-tokens]", "[checkers.cloud]",
        "[checkers.jsxc]", "token_length = 43", "[checkers.realm]", "[checkers.sso]",
        "[checkers.social]", "password_grant = true", "db.example.org/site", "[checkers.blog]",
        "FROM members", "[checkers.prosody-users]", "[checkers.tokens]",
    ),
    "sh": ("umask", "explain", "well-known"),
    "python": ("accounts.check",),
    "text": ("Login: accepted",),
    "json": ('"active"',),
    "sql": ("CREATE ROLE", "CREATE USER", "CREATE TABLE"),
    "php": ("password_verify",),
}  # fmt: skip


def blocks(language: str) -> list[str]:
    """The examples in one language."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def languages() -> set[str]:
    """Of all examples; "" is that of drawings."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return set(re.findall(r"^```(\w*)\n.*?^```$", text, re.DOTALL | re.MULTILINE))


def example(language: str, mark: str) -> str:
    """The one with that in it."""
    (found,) = (text for text in blocks(language) if mark in text)
    return found


def put(text: str, there: Mapping[str, str]) -> str:
    """A text with what it shows in the place of ours."""
    return re.sub("|".join(map(re.escape, there)), lambda found: there[found[0]], text)


class Documented(Daemon):
    """A daemon with examples for its configuration, and the secrets that they name."""

    def __init__(
        self, folder: Path, text: str, there: Mapping[str, str], ca: Path, **secrets: bytes
    ) -> None:
        """`there`: what stands in the examples, and what here. `secrets`: files by their names,
        with _ for -; what an example names and is not among them is made up."""
        super().__init__(folder, (), others={"*": ""})
        # The longer of two that begin alike has to come first.
        self.there = dict(
            sorted({"/etc/authbridge": str(folder), **there}.items(), key=lambda one: -len(one[0]))
        )
        write_private(folder / "ca.pem", ca.read_bytes())
        given = {name.replace("_", "-"): content for name, content in secrets.items()}
        for name in re.findall(r'_file = "/etc/authbridge/([\w.-]+)"', text):
            if name != "ca.pem":
                write_private(folder / name, watched(given.get(name) or secret(name)) + b"\n")
        own = f'\n[authbridge]\nstate = "{folder}/state/state.sqlite3"\ndeadline = "25s"\n\n'
        whole = self.configuration.read_text() + own + put(patient(trusting(text)), self.there)
        write_private(self.configuration, whole.encode())

    def at(self, shown: str, here: str) -> None:
        """What the examples show is here."""
        self.there[shown] = here
        text = self.configuration.read_text()
        assert shown in text
        write_private(self.configuration, text.replace(shown, here).encode())

    def sh(self, text: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Do what an example in sh says, in the daemon's folder."""
        script = self.folder / "documented.sh"
        write_private(script, put(text, self.there).encode())
        return subprocess.run(
            ["sh", "-eu", str(script)],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            input=given,
            capture_output=True,
            text=True,
            timeout=600,
        )


def trusting(text: str) -> str:
    """The same with the tests' authority, where an example trusts the system's."""
    parts = re.split(r"(?m)^(?=\[)", text)
    for number, part in enumerate(parts):
        encrypted = re.search(r'(?m)^(url|issuer|servers) = .*"(https|ldaps)://.*\n', part)
        if encrypted and "ca_file" not in part:
            line = 'ca_file = "/etc/authbridge/ca.pem"\n'
            parts[number] = part[: encrypted.end()] + line + part[encrypted.end() :]
    return "".join(parts)


def patient(text: str) -> str:
    """The same with more time for answers: a machine that is busy elsewhere is no outage."""
    return re.sub(r'(?m)^kind = "(?:http|oauth|sql)"$', r'\g<0>\ntimeout = "20s"', text)


@contextmanager
def running(daemon: Documented) -> Iterator[Documented]:
    """The daemon, as long as the block runs."""
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
