"""Passwords that a person hands to a command: from a prompt or from stdin, never an argument."""

from __future__ import annotations

import getpass
import sys

from authbridge.secret import Secret


def read_password(*, from_stdin: bool, twice: bool) -> Secret:
    """A password. From a prompt, `twice` asks again until both are the same.

    Raises SystemExit(2) at the end of input.
    """
    if from_stdin:
        return Secret(sys.stdin.buffer.readline().removesuffix(b"\n").removesuffix(b"\r"))
    try:
        while True:
            first = getpass.getpass("Password: ").encode(errors="surrogateescape")
            if not twice:
                return Secret(first)
            if Secret(first).matches(getpass.getpass("Again: ").encode(errors="surrogateescape")):
                return Secret(first)
            print("These were two different passwords.", file=sys.stderr)
    except EOFError:
        raise SystemExit(2) from None
