"""Reading a TOML table into settings: every mistake with its key, all of them at once.

Each module owns a frozen dataclass of its settings and reads it from a `Table`; `config` composes
them. A reader that meets a mistake records it and hands back a stand-in, so that the rest is read
too; nothing that was read counts unless `Mistakes` stayed empty.
"""

from __future__ import annotations

import difflib
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from authbridge.secret import Secret

T = TypeVar("T")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


LONGEST = 10 * 365 * 86400.0
"""Seconds; what is longer is a mistake."""


class _Required:
    pass


REQUIRED: Final = _Required()
"""As a default: the setting must be given."""


class ConfigurationError(Exception):
    """The configuration cannot be used; `mistakes` says, key by key, what is wrong."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Mistakes:
    """What is wrong with a configuration, in the order in which it was read."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, key: str, text: str) -> None:
        """Record that `key` is wrong, and what would be right."""
        self._lines.append(f"{key}: {text}" if key else text)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def check(self) -> None:
        """Raise ConfigurationError with all of them, if there are any."""
        if self._lines:
            raise ConfigurationError(self._lines)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " Did you mean …?" with the nearest known word, or what there is to choose from. A word in
    another case is the nearest."""
    choices = sorted(known)
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{folded[near[0]]}"?'
    return "; there is " + ", ".join(f'"{choice}"' for choice in choices) if choices else ""


def full_name(*parts: str) -> str:
    """The name of a setting, or of a table, as the file would have it."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else f'"{part}"' for part in parts)


class Table:
    """One table of the file: `key` is its full name, `folder` what relative paths are relative to.

    Every reader takes a setting's name and its default; `close` reports the names that nobody
    asked for.
    """

    def __init__(self, data: dict[str, Any], key: str, mistakes: Mistakes, folder: Path) -> None:
        self.data = data
        self._known: set[str] = set()
        self.mistaken: set[str] = set()
        """Settings with a mistake that has been said; what follows from one need not be."""
        self.key = key
        self.mistakes = mistakes
        self.folder = folder

    def name(self, setting: str) -> str:
        """The full name of one of this table's settings, as the file would have it."""
        return f"{self.key}.{full_name(setting)}" if self.key else full_name(setting)

    def wrong(self, setting: str, text: str) -> None:
        """Record a mistake in one of this table's settings."""
        self.mistaken.add(setting)
        self.mistakes.add(self.name(setting), text)

    def misplaced(self, setting: str, text: str) -> None:
        """Record a mistake where a setting is given that means nothing beside others."""
        self._known.add(setting)
        if setting in self.data:
            self.wrong(setting, text)

    def knows(self, *settings: str) -> None:
        """These are settings, whether or not anybody reads them."""
        self._known.update(settings)

    def __contains__(self, setting: str) -> bool:
        return setting in self.data

    def given_as_text(self, setting: str) -> bool:
        """Whether it is given, and as a string: for settings that are a word or a list."""
        return isinstance(self.data.get(setting), str)

    def text(self, setting: str, default: str | _Required = REQUIRED) -> str:
        """A string that is not empty."""
        return self._read(setting, default, "", _text, 'a string, as in "…"')

    def choice(self, setting: str, choices: Iterable[str], default: str) -> str:
        """One of some words."""
        value = self.text(setting, default)
        if not value:
            return default  # text() has said what is wrong
        if value not in (known := tuple(choices)):
            self.wrong(setting, f'"{value}" is not known{did_you_mean(value, known)}')
            return default
        return value

    def boolean(self, setting: str, default: bool) -> bool:
        """true or false."""
        return self._read(setting, default, default, _boolean, "true or false")

    def duration(
        self,
        setting: str,
        default: float,
        *,
        least: float = 0.0,
        most: float = LONGEST,
        zero: bool = False,
    ) -> float:
        """Seconds, given as "90s", "15m", "12h" or a number; more than zero, unless `zero`."""
        expected = 'a duration such as "90s" or "15m"'
        convert = read_duration if zero else _some_duration
        seconds = self._read(setting, default, default, convert, expected)
        if not least <= seconds <= most:
            bounds = f"between {least:g} and {most:g}" if most < LONGEST else f"at least {least:g}"
            self.wrong(setting, f"should be {bounds} seconds")
            return default
        return seconds

    def number(self, setting: str, default: int, *, least: int, most: int) -> int:
        """A whole number."""
        expected = f"a whole number between {least} and {most}"
        value = self._read(setting, default, default, _whole_number, expected)
        if not least <= value <= most:
            self.wrong(setting, f"should be {expected}")
            return default
        return value

    def optional_number(self, setting: str, *, least: int, most: int) -> int | None:
        """A whole number, or None where it is not given."""
        if setting in self.data:
            return self.number(setting, least, least=least, most=most)
        self._known.add(setting)
        return None

    def texts(
        self, setting: str, default: tuple[str, ...] | _Required = REQUIRED
    ) -> tuple[str, ...]:
        """A list of strings, none twice."""
        return self._read(setting, default, (), _texts, 'a list of different strings: ["…", "…"]')

    def some_texts(self, setting: str, without: str) -> tuple[str, ...]:
        """As `texts`, and one at least; `without` says what is wrong where there is none."""
        found = self.texts(setting)
        if not found and setting not in self.mistaken:
            self.wrong(setting, without)
        return found

    def path(self, setting: str) -> Path:
        """A path; a relative one starts at the configuration's folder."""
        return self.folder / self.text(setting)

    def private_file(self, setting: str) -> Path:
        """A path to a file that exists and that others may not read; the folder, if none is."""
        path = self.path(setting)
        if path != self.folder and (trouble := private_file_trouble(path)):
            self.wrong(setting, trouble)
            return self.folder
        return path

    def secret_file(self, setting: str) -> Secret:
        """The content of a private file, without the newline at its end."""
        path = self.private_file(setting)
        if path == self.folder:
            return Secret(b"")
        try:
            octets = path.read_bytes()
        except OSError as error:
            self.wrong(setting, f"{path}: {error.strerror}")
            return Secret(b"")
        octets = octets.removesuffix(b"\n").removesuffix(b"\r")
        if not octets.strip():
            self.wrong(setting, f"{path} is empty; a secret is what it should hold")
        return Secret(octets)

    def table(self, setting: str) -> Table:
        """A sub-table; where it is not given, an empty one, so that its defaults are read."""
        empty: dict[str, Any] = {}
        value = self._read(setting, empty, empty, _table, f"a table: [{self.name(setting)}]")
        # In place of what is no table stands one whose mistakes, all of them settings that are
        # missing, nobody hears of.
        mistakes = Mistakes() if setting in self.mistaken else self.mistakes
        return Table(value, self.name(setting), mistakes, self.folder)

    def named_tables(self, setting: str) -> dict[str, Table]:
        """The sub-tables of a sub-table whose names are the administrator's: [clients.NAME]."""
        parent = self.table(setting)
        return {name: parent.table(name) for name in parent.data}

    def close(self) -> None:
        """Report every setting that is not one, with the nearest that is."""
        for setting in self.data:
            if setting not in self._known:
                self.wrong(setting, f"there is no such setting{did_you_mean(setting, self._known)}")

    def _read(
        self,
        setting: str,
        default: T | _Required,
        stand_in: T,
        convert: Callable[[Any], T | None],
        expected: str,
    ) -> T:
        self._known.add(setting)
        if setting not in self.data:
            if isinstance(default, _Required):
                self.wrong(setting, f"is missing; {expected}")
                return stand_in
            return default
        value = convert(self.data[setting])
        if value is None:
            self.wrong(setting, f"should be {expected}")
            return stand_in
        return value


def private_file_trouble(path: Path) -> str | None:
    """Why this file cannot be taken as a secret: not there, no file, or open to others."""
    try:
        found = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return f"{path} is not a file"
    if found.st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        mode = stat.S_IMODE(found.st_mode)
        return f"{path} is open to others (mode {mode:03o}); chmod 640 {path}"
    return None


def _text(value: Any) -> str | None:
    # A NUL ends a path or a name for the system, and not for us.
    return value if isinstance(value, str) and value and "\0" not in value else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _texts(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(_text(item) for item in value):
        return None
    return tuple(value) if len(set(value)) == len(value) else None


def _table(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _some_duration(value: Any) -> float | None:
    return read_duration(value) or None


def read_duration(value: Any) -> float | None:
    """Seconds, given as "90s" or a number; None where it is neither, or too long."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        seconds = float(max(-1, min(value, LONGEST + 1)))  # an integer may be too large for a float
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        seconds = float(match[1]) * _UNITS[match[2]]
    else:
        return None
    return seconds if 0 <= seconds <= LONGEST else None
