"""The keys of one issuer, each with the one thing that it is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from authbridge.issuers.settings import IssuerSettings
from authbridge.secret import Secret
from authbridge.settings import full_name
from authbridge.tokens import compact, keys, xcauth
from authbridge.tokens.key_texts import Found, Member, read_member
from authbridge.tokens.keys import BadKey, Key, KeySet, NotForThis
from authbridge.tokens.mac_token import keyed


class MacKey:
    """A secret that signs compact or xcauth tokens."""

    __slots__ = ("key_id", "keyed", "kid", "kind", "secret", "source", "thumbprint")

    def __init__(self, secret: bytes, found: Found, kind: str) -> None:
        self.secret = Secret(secret)
        self.keyed = keyed(secret)
        self.kind = kind
        self.key_id = compact.key_id(secret) if kind == "compact" else xcauth.key_id(secret)
        """How tokens name it."""
        self.kid = found.kid or self.key_id.hex()
        self.source = found.source
        self.thumbprint = keys.thumbprint_of(found.jwk)

    def __repr__(self) -> str:
        return f"MacKey({self.kind}, {self.key_id.hex()})"

    @property
    def size(self) -> str:
        """How large it is, for people."""
        return f"{len(self.secret.reveal())} octets"


AnyKey = Key | MacKey


class Keyring:
    """All of them."""

    def __init__(self, found: Iterable[AnyKey] = ()) -> None:
        """Raises BadKey where they contradict each other."""
        found = list(found)
        self.set = KeySet(key for key in found if isinstance(key, Key))
        """Those of JSON Web Tokens."""
        by_key_id: dict[bytes, tuple[MacKey, ...]] = {}
        for key in {key.thumbprint: key for key in found if isinstance(key, MacKey)}.values():
            by_key_id[key.key_id] = (*by_key_id.get(key.key_id, ()), key)
        self.by_key_id: Mapping[bytes, tuple[MacKey, ...]] = by_key_id

    def __iter__(self) -> Iterator[AnyKey]:
        yield from self.set.keys
        for same in self.by_key_id.values():
            yield from same

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def names(self) -> list[str]:
        """Their kids, for people."""
        return sorted(key.kid for key in self)


def bind(found: Found | list[Member], settings: IssuerSettings, source: str) -> list[AnyKey]:
    """Each key with what it is for at this issuer.

    Raises BadKey. Of a JWKS, keys that are for something else are passed over, but not all.
    """
    if isinstance(found, Found):
        return [bind_one(found, settings)]
    bound: list[AnyKey] = []
    others: list[str] = []
    for member in found:
        try:
            bound.append(bind_one(read_member(member), settings))
        except NotForThis as error:
            others.append(str(error))
    if not bound:
        raise BadKey("; ".join(others) or f"{source} holds no key")
    return bound


def bind_published(found: Iterable[Member], settings: IssuerSettings) -> tuple[Keyring, list[str]]:
    """What a JWKS of others gives, and why some of it is not used: one key that is no good must not
    take the others with it. Raises BadKey where nothing is left."""
    bound: list[AnyKey] = []
    refused: list[str] = []
    for member in found:
        # Not even imported: to find out what is missing of a private key may take seconds.
        if member.is_private:
            refused.append(f"{member.source} is secret, and is published")
            continue
        try:
            key = bind_one(read_member(member), settings)
            Keyring([*bound, key])
        except BadKey as error:
            refused.append(str(error))
        else:
            bound.append(key)
    if not bound:
        raise BadKey("; ".join(refused) or "there is no key in it")
    return Keyring(bound), refused


def bind_one(one: Found, settings: IssuerSettings) -> AnyKey:
    """A key with what it is for at this issuer. Raises BadKey."""
    if settings.kind == "jwt":
        return keys.bind(one.jwk, settings.algorithms, one.kid, one.source)
    least = compact.LEAST_SECRET if settings.kind == "compact" else xcauth.LEAST_SECRET
    return MacKey(keys.secret_of(one.jwk, least, one.source), one, settings.kind)


def signs(key: AnyKey) -> bool:
    """Whether it is a secret, or the private half of a pair."""
    return isinstance(key, MacKey) or key.signs


def use_of(key: AnyKey) -> str:
    """What a key is for: an algorithm, or a kind of token."""
    return key.kind if isinstance(key, MacKey) else key.algorithm


def contradictions(rings: Mapping[str, Keyring]) -> list[tuple[str, str, str]]:
    """Issuer, what is wrong with one of its keys beside another's, and the key's thumbprint: with
    one key for two algorithms, a token of one kind might be turned into the other."""
    uses: dict[str, tuple[str, AnyKey]] = {}
    wrong: list[tuple[str, str, str]] = []
    for issuer, ring in rings.items():
        for key in ring:
            first, other = uses.setdefault(key.thumbprint, (issuer, key))
            if use_of(other) != use_of(key):
                words = (
                    f"{key.source} is a key of {full_name('issuers', first)} too, for "
                    f"{use_of(other)} there and {use_of(key)} here; a key has one algorithm"
                )
                wrong.append((issuer, words, key.thumbprint))
    return wrong
