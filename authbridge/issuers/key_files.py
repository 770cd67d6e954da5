"""The keys of an issuer out of files and folders: looked at again now and then, and read when they
have changed.

Each file stands for itself. One that is gone takes its keys with it: that is how a key is retired.
One that others may write to does as well, for anybody may have put a key into it. One that has
become nonsense keeps the keys that it had before: a slip must not lock everybody out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from twisted.logger import Logger

from authbridge.issuers.keyring import AnyKey, Keyring, bind, signs, use_of
from authbridge.issuers.settings import IssuerSettings
from authbridge.printable import printable
from authbridge.tokens import key_texts
from authbridge.tokens.keys import BadKey

MOST_FILES = 100
ENDINGS = frozenset({".pem", ".jwk", ".jwks", ".json", ".secret"})
"""Of the files in a folder that are read: whatever else is put there, as a backup or a note, must
not become a secret."""

log = Logger()


class Distrusted(BadKey):
    """Others may write to it, or read what is secret in it."""


@dataclass(slots=True)
class KeyFile:
    """One file, as it was last read."""

    signature: tuple[int, ...] = ()
    keys: list[AnyKey] = field(default_factory=list)
    """What is in it; where it has become nonsense, what was in it before."""
    used: list[AnyKey] = field(default_factory=list)
    """What of it is in force."""
    trouble: str = ""
    """What was wrong with it when it was read."""
    contradiction: str = ""
    """Why `keys` is not what is `used`."""


class KeyFiles:
    """The keys of an issuer whose settings name files."""

    def __init__(self, settings: IssuerSettings) -> None:
        """Nothing is read before `look`."""
        self._settings = settings
        self._files: dict[Path, KeyFile] = {}
        self._said: dict[str, str] = {}  # trouble that the log has, by the path it is about
        self.keys = Keyring()

    def look(self) -> bool:
        """Read what has changed; whether other keys are in force now. The log has what is wrong."""
        trouble: dict[str, str] = {}
        found: dict[Path, KeyFile] = {}
        for path in self._list(trouble):
            file = self._read(path, self._files.get(path, KeyFile()))
            if file is not None:
                found[path] = file
        gone = self._files.keys() - found.keys()
        for path in sorted(gone):
            if not os.path.exists(path):  # noqa: PTH110 - Path's raises where it may not look
                log.info("issuer {name}: {path} is gone", name=self._settings.name, path=path)
        changed = bool(gone) or any(
            file is not self._files.get(path) for path, file in found.items()
        )
        if changed:
            changed = self._combine(found)
        for path, file in found.items():
            if words := file.trouble or file.contradiction:
                trouble[str(path)] = words
        self._say(trouble)
        return changed

    def _read(self, path: Path, old: KeyFile) -> KeyFile | None:
        """The file as it is now; None where it is gone."""
        signature: tuple[int, ...] = ()
        try:
            signature = _signature(path.stat())
            if signature == old.signature:
                return old
            keys = read_file(path, self._settings)
            if list(map(_identity, keys)) == list(map(_identity, old.used)):
                keys = old.used  # it was touched, and has what it had
            return KeyFile(signature, keys, old.used)
        except FileNotFoundError:
            return None
        except Distrusted as error:
            return KeyFile(signature, trouble=f"{error}; its keys are not used")
        except BadKey as error:
            trouble = str(error)
        except OSError as error:
            signature = ()  # so that it is tried again
            trouble = f"{path}: {error.strerror}"
        except Exception:  # noqa: BLE001 - a fault in reading one must not keep the others back
            log.failure("issuer {name}: reading {path}", name=self._settings.name, path=path)
            trouble = f"{path} cannot be read"
        trouble += "; the keys that it had before stay in force"
        return KeyFile(signature, old.keys, old.used, trouble)

    def _combine(self, found: dict[Path, KeyFile]) -> bool:
        """All keys as one, and whether they are others than before. Where two files contradict each
        other, the one that is in force stays, and the other has what it had."""
        keys: list[AnyKey] = []
        for file in sorted(found.values(), key=lambda file: file.keys != file.used):
            file.contradiction = ""
            for candidate in (file.keys, file.used):
                try:
                    Keyring(keys + candidate)
                except BadKey as error:
                    file.contradiction = file.contradiction or f"{error}; this one is left aside"
                else:
                    file.used = candidate
                    break
            else:
                file.used = []
            keys += file.used
        self._files = found
        before, self.keys = self.keys, Keyring(keys)
        if set(self.keys) == set(before):
            return False
        log.info(
            "issuer {name}: keys in force: {keys}",
            name=self._settings.name,
            keys=", ".join(self.keys.names()) or "none",
        )
        return True

    def _list(self, trouble: dict[str, str]) -> list[Path]:
        """The files that there are."""
        listed: dict[Path, None] = {}
        for path in self._settings.keys:
            try:
                files, others = list_files(path)
            except FileNotFoundError:
                trouble[str(path)] = f"{path} is gone, and its keys with it"
            except Distrusted as error:
                trouble[str(path)] = f"{error}; its keys are not used"
            except (BadKey, OSError) as error:
                words = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
                trouble[str(path)] = f"{words}; the keys that it had before stay in force"
                known = [file for file in self._files if path in (file, file.parent)]
                listed.update(dict.fromkeys(known))
            else:
                listed.update(dict.fromkeys(files))
                if others:
                    trouble[f"{path}/"] = f"{path}: passed over, for its ending: {others}"
        return list(listed)

    def _say(self, trouble: dict[str, str]) -> None:
        for path, words in trouble.items():
            if self._said.get(path) != words:
                say = log.warn if path.endswith("/") else log.error
                say("issuer {name}: {words}", name=self._settings.name, words=words)
        for path in self._said.keys() - trouble.keys():
            if not path.endswith("/") and Path(path) in (*self._files, *self._settings.keys):
                log.info("issuer {name}: {path} is well again", name=self._settings.name, path=path)
        self._said = trouble


def load(settings: IssuerSettings, wrong: Callable[[str], None]) -> Keyring:
    """The keys as they are now, for who wants to hear of every mistake; those without one."""
    keys: list[AnyKey] = []
    for path in settings.keys:
        try:
            files, _ = list_files(path)
        except BadKey as error:
            wrong(str(error))
            continue
        except OSError as error:
            wrong(f"{path}: {error.strerror}")
            continue
        for file in files:
            try:
                more = read_file(file, settings)
                Keyring([*keys, *more])
            except BadKey as error:
                wrong(str(error))
            except OSError as error:
                wrong(f"{file}: {error.strerror}")
            else:
                keys += more
    return Keyring(keys)


def list_files(path: Path) -> tuple[list[Path], str]:
    """The file, or those in the folder that have one of ENDINGS; and the names of the others, but
    for hidden ones and those that editors leave.

    Raises OSError; BadKey where others may add files to the folder.
    """
    mode = path.stat().st_mode
    if not stat.S_ISDIR(mode):
        return [path], ""
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Distrusted(f"{path} is open to others to write; chmod go-w {path}")
    visible = sorted(
        entry
        for entry in path.iterdir()
        if not entry.name.startswith(".") and not entry.name.endswith("~")
    )
    files = [entry for entry in visible if entry.suffix in ENDINGS]
    if len(files) > MOST_FILES:
        raise BadKey(f"{path} has {len(files)} files; {MOST_FILES} keys are plenty")
    others = ", ".join(
        printable(os.fsencode(entry.name)) for entry in visible if entry not in files
    )
    return files, others


def read_file(path: Path, settings: IssuerSettings) -> list[AnyKey]:
    """The keys of a file, each with what it is for. Raises BadKey, OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadKey(f"{path} is not a file")
    # A named pipe in its place now would let us wait for whoever writes to it.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Distrusted(f"{path} is open to others to write; chmod go-w {path}")
        content = file.read(key_texts.MOST_OCTETS + 1)
    if len(content) > key_texts.MOST_OCTETS:
        raise BadKey(f"{path} is larger than {key_texts.MOST_OCTETS >> 20} MiB")
    source = str(path)
    found: key_texts.Found | list[key_texts.Member]
    if settings.bare:
        found = key_texts.read_secret(content, source, path.stem)
    else:
        found = key_texts.read(content, source, path.stem, secrets=settings.has_secrets)
    keys = bind(found, settings, source)
    members = [] if isinstance(found, key_texts.Found) else found
    private = any(map(signs, keys)) or any(member.is_private for member in members)
    if mode & stat.S_IROTH and private:
        open_mode = stat.S_IMODE(mode)
        raise Distrusted(f"{path} is open to others (mode {open_mode:03o}); chmod 640 {path}")
    return keys


def _identity(key: AnyKey) -> tuple[str, str, str, bool]:
    return key.thumbprint, key.kid, use_of(key), signs(key)


def _signature(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)
