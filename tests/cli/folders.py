"""A configuration on disk, for commands that are run as programs."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

from authbridge import password_hash

CHEAP = password_hash.Cost(memory=8, passes=1, lanes=1)
ROOT = Path(__file__).parent.parent.parent
LIMIT = 240
"""Seconds after which a program counts as hung; a busy machine may take many to start one."""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def configuration(folder: Path, port: int = 9281, log: str = "text") -> Path:
    """One user, alice@example.org with the password "wonderland"; sockets in the same folder."""
    folder.chmod(0o700)
    write(folder / "secret", "through-the-glass\n")
    write(folder / "users", f"alice@example.org:{password_hash.make(b'wonderland', CHEAP)}\n")
    user = pwd.getpwuid(os.geteuid()).pw_name
    return write(
        folder / "authbridge.toml",
        f"""
[listen]
extauth = ["unix:{folder}/extauth.sock:mode=600"]
http = ["tcp:{port}:interface=127.0.0.1"]
control = ["unix:{folder}/control.sock:mode=600"]
[extauth]
users = ["{user}"]
deadline = "25s"  # the longest: a machine that stalls is no outage
[log]
format = "{log}"
[clients.prosody]
secret_file = "secret"
deadline = "60s"
may = ["check_password", "user_exists"]
domains = ["example.org"]
[domains."example.org"]
check = ["local"]
[checkers.local]
kind = "file"
path = "users"
""",
    )


def short_folder() -> Path:
    """A new folder whose path leaves room for a Unix socket's name."""
    return Path(tempfile.mkdtemp(dir="/tmp", prefix="ab-"))


def run(
    *arguments: str, stdin: bytes = b"", module: str = "authbridge"
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a program."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=stdin, capture_output=True, timeout=LIMIT, cwd=ROOT, check=False,
    )  # fmt: skip
