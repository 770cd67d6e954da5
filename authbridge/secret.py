"""A value that shows itself to nobody: passwords and shared secrets travel in it."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Octets that no repr, format, comparison or pickle gives away.

    `reveal` is the only way to the octets, so that a search for it finds every place that
    touches one.
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def reveal(self) -> bytes:
        """The octets themselves."""
        return self._octets

    def matches(self, octets: bytes) -> bool:
        """Whether these are the same octets, in a time that does not tell where they differ."""
        return hmac.compare_digest(self._octets, octets)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("a Secret is compared with matches()")

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
