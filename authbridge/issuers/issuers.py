"""All issuers with the keys that they have now, found by what a token says of itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from authbridge.issuers.key_files import KeyFiles
from authbridge.issuers.keyring import AnyKey, Keyring, MacKey, contradictions
from authbridge.issuers.settings import IssuerSettings
from authbridge.model import Outcome, Reason, Verdict

LOOK_EVERY = 1.0
"""Seconds for which key files are taken to be as they were."""

log = Logger()


class FetchedKeys(Protocol):
    """Keys that are fetched in the background (`outbound.jwks`)."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...

    def current(self) -> Keyring | None:
        """What was fetched last; None where that is nothing, or too old."""
        ...

    def ask_again(self) -> bool:
        """A key is missed: fetch again unless that was done just now. Whether it is under way."""
        ...

    def ready(self) -> Deferred[None]:
        """Fires when the fetch under way is over, good or bad."""
        ...

    @property
    def trouble(self) -> str:
        """Why the last fetch failed; or ""."""
        ...


class KeysUnavailable(Exception):
    """An issuer's keys could not be fetched: it cannot be told who has signed."""

    def __init__(self, words: str, settled: Callable[[], Deferred[None]]) -> None:
        """`settled` gives what fires when they are not being fetched any more."""
        super().__init__(words)
        self.settled = settled


class Issuer:
    """One issuer, and its keys."""

    def __init__(self, settings: IssuerSettings, fetched: FetchedKeys | None = None) -> None:
        """Keys come from the files in the settings, unless they are `fetched`."""
        self.settings = settings
        self.fetched = fetched
        self.files = None if fetched else KeyFiles(settings)
        self._of_files = Keyring()
        self._accepted: dict[str, Outcome] = {}

    def keys(self) -> Keyring:
        """What it signs with now. Raises KeysUnavailable."""
        if self.fetched is None:
            return self._of_files
        found = self.fetched.current()
        if found is None:
            where = "" if self.settings.jwks is None else f"{self.settings.jwks.url}: "
            words = where + (self.fetched.trouble or "not fetched yet")
            raise KeysUnavailable(words, self.fetched.ready)
        return found

    def accepted(self, key: AnyKey) -> Outcome:
        """That a token of this key is good. Made once: there is one for each login."""
        outcome = self._accepted.get(key.kid)
        if outcome is None:
            # Printable and in one word, whatever a publisher calls its keys.
            signer = quote(f"{self.settings.name}#{key.kid}", safe=":/#@+=,~")
            outcome = self._accepted[key.kid] = Outcome(
                Verdict.ACCEPTED, Reason.TOKEN_VALID, signer
            )
        return outcome

    def look(self) -> bool:
        """Read key files that have changed; whether any has."""
        return self.files is not None and self.files.look()

    def use(self, disputed: Collection[str]) -> None:
        """Use the keys of the files but for these thumbprints."""
        if self.files is not None:
            self._of_files = Keyring(
                key for key in self.files.keys if key.thumbprint not in disputed
            )

    def misses_a_key(self) -> None:
        """A token names a key that is not there. Raises KeysUnavailable where it may be there in a
        moment, so that a new key's first token is not called a bad one."""
        fetched = self.fetched
        if fetched is not None and (fetched.ask_again() or fetched.trouble):
            raise KeysUnavailable("the key is not among those fetched last", fetched.ready)


Signers = tuple[tuple[Issuer, MacKey], ...]


class Issuers:
    """All of them."""

    def __init__(self, issuers: Iterable[Issuer], seconds: Callable[[], float]) -> None:
        """Key files are looked at when `refresh` is called. `seconds`: of any clock."""
        self._all = tuple(issuers)
        self._seconds = seconds
        self._looked = float("-inf")
        self._by_name: Mapping[str, Issuer] = {
            issuer.settings.name: issuer for issuer in self._all if issuer.settings.kind == "jwt"
        }
        self._signers: dict[str, dict[bytes, Signers]] = {"compact": {}, "xcauth": {}}
        self.xcauth_key_ids: set[bytes] = set()
        """Of all keys that there are, in force or not, and have been: a retired key's token is a
        token still."""

    def start(self) -> None:
        """Read the files, and begin to fetch."""
        self.refresh()
        for issuer in self._all:
            if issuer.fetched is not None:
                issuer.fetched.start()

    def stop(self) -> None:
        """Fetch no more."""
        for issuer in self._all:
            if issuer.fetched is not None:
                issuer.fetched.stop()

    def refresh(self) -> None:
        """Read key files that have changed, if nobody has looked within the last second."""
        now = self._seconds()
        if 0 <= now - self._looked < LOOK_EVERY:  # less than 0: the clock was set back
            return
        self._looked = now
        changed = False
        for issuer in self._all:
            try:
                changed |= issuer.look()
            except Exception:  # noqa: BLE001 - a fault of one issuer's must not keep others' back
                log.failure("issuer {name}: looking at its keys", name=issuer.settings.name)
        if changed:
            self._take_in()

    def jwt(self, name: str) -> Issuer | None:
        """The issuer whose `iss` this is."""
        return self._by_name.get(name)

    def jwt_names(self) -> Iterable[str]:
        """Every `iss` that is known."""
        return self._by_name

    def signers(self, kind: str, key_id: bytes) -> Signers:
        """Whose secrets have this key id."""
        return self._signers[kind].get(key_id, ())

    def __iter__(self) -> Iterator[Issuer]:
        return iter(self._all)

    def _take_in(self) -> None:
        of_files = {i.settings.name: i.files.keys for i in self._all if i.files is not None}
        wrong = contradictions(of_files)
        for name, words, _ in wrong:
            log.error("issuer {name}: {words}; it is used for neither", name=name, words=words)
        disputed = {thumbprint for _, _, thumbprint in wrong}
        self._signers = {"compact": {}, "xcauth": {}}
        for issuer in self._all:
            issuer.use(disputed)
            by_key_id = self._signers.get(issuer.settings.kind)
            if by_key_id is not None:
                for key_id, keys in issuer.keys().by_key_id.items():
                    more = tuple((issuer, key) for key in keys)
                    by_key_id[key_id] = (*by_key_id.get(key_id, ()), *more)
        for issuer in self._all:  # those of disputed keys too
            if issuer.settings.kind == "xcauth" and issuer.files is not None:
                self.xcauth_key_ids.update(issuer.files.keys.by_key_id)
