"""A folder of keys, as an administrator's tools fill it."""

import os
from pathlib import Path

from .daemon import write_private


class KeyFolder:
    """Files with an issuer's keys, each put in place in one step."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder

    def add(self, name: str, content: bytes) -> None:
        """Put a file there, or another in its place."""
        write_private(self._folder / ".coming" / name, content)
        os.replace(self._folder / ".coming" / name, self._folder / name)

    def remove(self, name: str) -> None:
        """Take it away."""
        (self._folder / name).unlink()
