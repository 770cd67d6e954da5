"""A daemon with docs/tokens.md's configuration of temporary tokens, made by the documented command,
and the website whose files are as the document has them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType

from tests.recipes import sites
from tests.recipes.document import example, write

from .calls import BIN, form_of
from .canary import watched
from .daemon import Daemon

#: Whom most examples are about.
ALICE = "alice@example.org"
#: What differs each time: moments, durations, ids of calls and of tokens, tokens, moments in JSON.
_VARYING = (
    r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    r"(?<=after )\d+(?= s)",
    r"(?<=\bms=)[\d.]+",
    r"\bid=[0-9a-f]+-[0-9a-f]+",
    r"\babtt1_[\w-]{43}",
    r"\b[0-9a-f]{32}\b",
    r"\b\d{10}\b",
)

# The commands look into /etc/authbridge and /run/authbridge unless they are told another place.
_COMMAND = """#!/bin/sh
case $1$2 in
    clientnew) set -- "$@" --folder {folder}/clients ;;
    keynew) set -- "$@" --folder {folder}/keys ;;
    token*) set -- "$@" --control {folder}/run/control.sock ;;
esac
exec {program} "$@"
"""


def normal(text: str) -> str:
    """A text without what differs each time."""
    for pattern in _VARYING:
        text = re.sub(pattern, "…", text)
    return text


def blocks(document: Path, language: str) -> list[str]:
    """The examples in one language of another document."""
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


class Documented(Daemon):
    """The daemon."""

    def __init__(self, folder: Path, *tables: str, state: str = "state/state.sqlite3") -> None:
        """`tables` are examples; of those with one name, the last one counts."""
        self.there = {
            "127.0.0.1:9281": "",
            "/etc/authbridge": str(folder),
            "/etc/www": str(folder / "www"),
        }
        super().__init__(folder, (), others={"example.org": f'[authbridge]\nstate = "{state}"\n'})
        self.there["127.0.0.1:9281"] = f"127.0.0.1:{self.http_port}"
        write(
            folder / "bin" / "authbridge",
            _COMMAND.format(folder=folder, program=BIN / "authbridge"),
            {},
        )
        (folder / "bin" / "authbridge").chmod(0o700)
        self.made = self.sh(example("sh", "client new website"))
        assert (self.made.returncode, self.made.stderr) == (0, "")
        secret = watched((folder / "clients" / "website").read_bytes().strip())
        write(folder / "www" / "authbridge-secret", secret.decode() + "\n", {})
        write(folder / "www" / "authbridge.curl", f'user = "website:{secret.decode()}"\n', {})
        self.add(*tables)

    def add(self, *tables: str) -> None:
        """Put examples into the configuration, in the place of what has their names."""
        parts = re.split(r"(?m)^(?=\[)", self.configuration.read_text() + "\n")
        found = {part.partition("]\n")[0].partition("#")[0].strip(): part for part in parts}
        for table in re.split(r"(?m)^(?=\[)", "\n".join(tables)):
            found[table.partition("]\n")[0].partition("#")[0].strip()] = table
        write(self.configuration, "\n".join(found.values()), self.there)

    def sh(
        self, text: str, given: str | None = None, **replaced: str
    ) -> subprocess.CompletedProcess[str]:
        """Do what an example in sh says, with curl told to be silent."""
        quiet = re.sub(r"(?m)^curl ", "curl -sS ", text)
        script = write(self.folder / "documented.sh", quiet, {**self.there, **replaced})
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-eu", str(script)],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            input=given,
            capture_output=True,
            text=True,
            timeout=90,
        )

    def lines(self, mark: str) -> list[str]:
        """An example in sh, line by line."""
        return example("sh", mark).splitlines()

    def curl(self, line: str, **replaced: str) -> dict[str, object]:
        """What is answered to a line with curl, as JSON; empty where there is no body."""
        done = self.sh(line, **replaced)
        assert (done.returncode, done.stderr) == (0, "")
        answer: dict[str, object] = json.loads(done.stdout or "{}")
        if "password" in answer:
            watched(str(answer["password"]).encode())
        return answer

    def logs_in(self, jid: str, token: str) -> bool:
        """Whether Prosody's client is told yes."""
        text = f"curl -K prosody.curl -d @form {self.http_auth_url}/check_password"
        write(self.folder / "prosody.curl", f'user = "{self.http_auth_credentials}"\n', {})
        write(self.folder / "form", form_of(jid, token.encode()).decode(), {})
        done = self.sh(text)
        assert done.stdout in ("true", "false"), done
        return done.stdout == "true"

    def module(self, mark: str) -> ModuleType:
        """An example in Python."""
        return sites.python(
            write(self.folder / "www" / "example.py", example("python", mark), self.there)
        )

    def in_php(self, jid: str) -> str:
        """A token by the example in PHP."""
        program = write(
            self.folder / "www" / "token.php",
            example("php", "function temporary_token"),
            self.there,
        )
        code = (
            "require $argv[1]; echo temporary_token(trim(file_get_contents($argv[2])), $argv[3]);"
        )
        secret = self.folder / "www" / "authbridge-secret"
        return self._said(["php", "-r", code, str(program), str(secret), jid])

    def in_javascript(self, jid: str) -> str:
        """A token by the example in JavaScript."""
        program = write(
            self.folder / "www" / "token.js", example("js", "exports.temporaryToken"), self.there
        )
        code = (
            "require(process.argv[1]).temporaryToken(process.argv[2])"
            ".then((token) => process.stdout.write(token), () => {})"
        )
        return self._said(["node", "-e", code, str(program), jid])

    def in_python(self, jid: str) -> str:
        """A token by the example in Python; empty where there is none."""
        try:
            return str(self.module("def temporary_token").temporary_token(jid))
        except OSError:
            return ""

    @staticmethod
    def _said(command: list[str]) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


def issued(bridge: Documented, jid: str = ALICE) -> dict[str, str]:
    """By the documented call, as it is answered."""
    found = bridge.curl(example("sh", "/tokens\n"), **{ALICE: jid})
    return {name: str(value) for name, value in found.items()}
