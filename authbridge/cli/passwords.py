"""Passwords and tokens that a person hands to a command: from a prompt or from stdin, never an
argument."""

from __future__ import annotations

import getpass
import sys

from authbridge.cli.shared import unusable
from authbridge.secret import Secret

LONGEST_LINE = 4095
"""Octets that a terminal hands on of a line (termios(3)); it drops the others, and says nothing."""
MOST_OCTETS = 1 << 20
"""Of stdin: more than any token may have."""


def read_password(*, from_stdin: bool, twice: bool) -> Secret:
    """A password. From a prompt, `twice` asks again until both are the same.

    Raises SystemExit(2) at the end of input.
    """
    if from_stdin:
        return Secret(_without_end(sys.stdin.buffer.readline()))
    try:
        while True:
            first = _ask("Password: ")
            if not twice or Secret(first).matches(_ask("Again: ")):
                return Secret(first)
            print("These were two different passwords.", file=sys.stderr)
    except EOFError:
        raise SystemExit(2) from None


def read_token(*, from_stdin: bool) -> bytes:
    """A token: from stdin all that is there, for one that was wrapped is to be told as such.

    Raises ConfigurationError where a terminal has cut it, SystemExit(2) at the end of input.
    """
    if from_stdin:
        token = _without_end(sys.stdin.buffer.read(MOST_OCTETS))
        typed = sys.stdin.isatty()
    else:
        try:
            token, typed = _ask("Token: "), True
        except EOFError:
            raise SystemExit(2) from None
    if typed and len(token) == LONGEST_LINE:
        raise unusable(
            f"a terminal cuts a line at {LONGEST_LINE} characters, and so many came: the token is "
            "longer; put it into a file, and give it with --token-stdin < FILE"
        )
    return token


def _ask(prompt: str) -> bytes:
    return getpass.getpass(prompt).encode(errors="surrogateescape")


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
