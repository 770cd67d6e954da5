"""What a request shows of its session, and what may come of that: somebody, nobody, cannot tell.

A session is asked in two steps. `evidence` is cheap and waits for nothing, so that who shows none
is refused for next to nothing; `user` may have to ask the site.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

from authbridge.model import Reason

MOST_OCTETS = 4096
"""Of a cookie's value: browsers keep no larger ones (RFC 6265, 6.1)."""
LONGEST_USER = 1023
"""Octets of UTF-8: what a localpart may have (RFC 7622, 3.3)."""

# RFC 6265, 4.1.1: cookie-octets, all of them in quotes or none.
_VALUE = re.compile(rb'("?)[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*\1')
_BLANKS = b" \t"
_NO_NAME = frozenset({"Cc", "Cs"})
"""Control characters, and halves of a surrogate, which JSON can spell and UTF-8 cannot."""


class Nobody(Exception):
    """A definite no: there is no session, or it is nobody's."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class CannotTell(Exception):
    """Whose session it is cannot be found out now. `words`: why, for the log; never a secret."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words


class Shown:
    """What a request shows of who sends it."""

    __slots__ = ("address", "cookies", "fields", "names")

    def __init__(
        self,
        cookies: Sequence[bytes],
        fields: Callable[[bytes], Sequence[bytes]],
        names: Iterable[bytes],
        address: str,
    ) -> None:
        """`cookies`: the values of the Cookie header fields. `fields` gives the values of a header
        by its name in lower case; `names` are those that there are. `address`: the caller's, as
        `peers.address_of` has it."""
        self.cookies = cookies
        self.fields = fields
        self.names = names
        self.address = address


class Session(Protocol):
    """A way to find out whose session a request shows."""

    of_cookies: bool
    """Whether a Cookie header alone tells it."""

    def evidence(self, shown: Shown) -> bytes:
        """What of the request tells whose session it is. Nothing is asked. Raises Nobody."""
        ...

    async def user(self, evidence: bytes) -> str:
        """The site's name for the user. Raises Nobody, CannotTell. Safe to cancel."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End; who still waits for a user gets CannotTell."""
        ...


@runtime_checkable
class Probed(Protocol):
    """A session that can say whether what it depends on answers, for `check-config --probe`."""

    async def probe(self) -> str:
        """What was found, in words, where all is well. Raises CannotTell."""
        ...


def cookie(values: Sequence[bytes], name: bytes) -> bytes:
    """The value of the one cookie of this name, in quotes if it has them. Raises Nobody: there is
    none, or it is empty; there are two, or it is none by RFC 6265, 4.1.1, or too long.

    Of other cookies nothing is expected: there are sites that set odd ones.
    """
    found: bytes | None = None
    for value in values:
        if name not in value:
            continue
        for pair in value.split(b";"):
            key, equals, octets = pair.partition(b"=")
            if key.strip(_BLANKS) != name:
                continue
            # Two of them: the paths, or the domains, of two sites; or somebody has added his own.
            if found is not None or not equals:
                raise Nobody(Reason.SESSION_MALFORMED)
            found = octets.strip(_BLANKS)
    if not found or found == b'""':  # sites empty the cookie of who logs out
        raise Nobody(Reason.SESSION_MISSING)
    if len(found) > MOST_OCTETS or not _VALUE.fullmatch(found):
        raise Nobody(Reason.SESSION_MALFORMED)
    return found


def name_trouble(name: str) -> str:
    """Why this can be nobody's name; empty where it can. It is not prepared yet."""
    if not name.strip():
        return "is empty"
    if len(name.encode(errors="surrogatepass")) > LONGEST_USER:
        return f"is longer than {LONGEST_USER} octets"
    if any(unicodedata.category(character) in _NO_NAME for character in name):
        return "holds a control character"
    return ""
