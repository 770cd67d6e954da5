"""File systems that one daemon alone sees: mounted in a mount namespace of its own.

Root makes one; anybody else makes a user namespace with it, in which he is root
(user_namespaces(7)). In a container, either needs CAP_SYS_ADMIN or the runtime's leave.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

_MINE = os.geteuid() == 0


def with_mount(mount: str, command: Sequence[str]) -> list[str]:
    """The command, behind a shell command that mounts something; the process stays the same."""
    user = [] if _MINE else ["--user", "--map-root-user"]
    script = f'{mount} && exec "$@"'
    return ["unshare", *user, "--mount", "--", "sh", "-euc", script, "sh", *command]


def mount_inside(pid: int, *arguments: str) -> None:
    """mount(8), where this process sees it."""
    user = [] if _MINE else ["--user", "--preserve-credentials"]
    command = ["nsenter", "--target", str(pid), *user, "--mount", "mount", *arguments]
    subprocess.run(command, check=True, timeout=90)


def seen_by(pid: int, path: Path) -> Path:
    """What this process has there."""
    return Path(f"/proc/{pid}/root{path}")
