"""Hashes of passwords as websites store them: recognised, bounded in their cost, verified.

The work is libpass's (with argon2-cffi and bcrypt) and hashlib's. Here is what the programs do to a
password before they hash it, and what a hash may cost: a row of the database is not to keep a
processor busy for an hour.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

import passlib.hash as library

from authbridge.sql import scram
from authbridge.sql.plain import Plain, looks_hashed

LONGEST_PASSWORD = 4096
"""Octets (libpass's PASSLIB_MAX_PASSWORD_SIZE); a longer one is nobody's."""
LONGEST_CRYPT = 511
"""Octets of a password that crypt hashes (libxcrypt's CRYPT_MAX_PASSPHRASE_SIZE counts a NUL), and
so the same; what libpass needs for each round grows with them."""
LONGEST_HASH = 1024
"""Characters; a longer text is no hash."""
LEAST_ARGON2 = 16
"""Octets of its digest (Django's); a shorter one has lost its end."""
BCRYPT = 72
"""Octets that bcrypt looks at; PHP and Django drop the others, and so do we."""
MOST_MEMORY = 1 << 20
"""KiB, of argon2 and scrypt."""
MOST_ARGON2 = 1 << 22
"""KiB times passes: some four seconds."""
MOST_SCRYPT = 1 << 22
"""N times r times p: the same."""
MOST_PBKDF2 = 5_000_000
MOST_SHA_CRYPT = 1_000_000
MOST_BCRYPT = 15
"""2 to the power of it."""
MOST_PHPASS = 20
"""The same."""
PLAIN = "plain"
UNUSABLE = ("!", "*")
"""What begins like this is nobody's password: Django's, crypt's, WordPress's."""

Handler = Any
"""One of libpass's, which has no annotations."""
Treatment = Callable[[bytes], tuple[bytes, ...]]
"""The octets that a program may have hashed of a password."""

_DAMAGED = "cannot be verified: it is damaged"
_PHP_BLANK = b" \t\n\r\0\x0b"
_SLASHED = re.compile(rb"(['\"\\])")


class Unfit(ValueError):
    """A hash that is not looked at; the text says why, and repeats nothing of it."""


class Stored(Protocol):
    """What is stored of a password."""

    @property
    def described(self) -> str:
        """The kind and its cost, for `explain`."""
        ...

    def verify(self, password: bytes) -> bool:
        """Whether it was made of this password. Takes its cost, right or wrong. Raises Unfit."""
        ...


def _as_it_is(password: bytes) -> tuple[bytes, ...]:
    return (password,)


def _cut(password: bytes) -> tuple[bytes, ...]:
    return (password[:BCRYPT],)


def _sha256(password: bytes) -> tuple[bytes, ...]:
    """Django's BCryptSHA256PasswordHasher."""
    return (hashlib.sha256(password).hexdigest().encode(),)


def _trimmed(password: bytes) -> tuple[bytes, ...]:
    """WordPress's: trimmed, and with the backslashes that its form adds before quotes."""
    bare = password.strip(_PHP_BLANK)
    slashed = _SLASHED.sub(rb"\\\1", bare)
    return (bare,) if bare == slashed else (bare, slashed)


def _wordpress(password: bytes) -> tuple[bytes, ...]:
    """Since 6.8 (wp_hash_password); what is under the bcrypt has neither NUL nor 73 octets."""
    return tuple(
        base64.b64encode(hmac.digest(b"wp-sha384", one, "sha384")) for one in _trimmed(password)
    )


@dataclass(frozen=True, slots=True)
class Hash:
    """One of libpass's."""

    described: str
    handler: Handler = field(repr=False)
    text: str = field(repr=False)
    treat: Treatment = field(repr=False)
    longest: int
    """Octets of a password."""

    def verify(self, password: bytes) -> bool:
        """See Stored."""
        found = False
        try:
            for octets in self.treat(password[: self.longest]):
                found |= self.handler.verify(octets, self.text)
        except Exception:  # noqa: BLE001 - whose words may repeat the hash
            raise Unfit(_DAMAGED) from None
        return found and len(password) <= self.longest


@dataclass(frozen=True, slots=True)
class DjangoScrypt:
    """Django's, of which libpass does not know the form: scrypt$N$salt$r$p$base64."""

    n: int
    r: int
    p: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def described(self) -> str:
        """See Stored."""
        return f"django scrypt, N {self.n}, r {self.r}, p {self.p}"

    def verify(self, password: bytes) -> bool:
        """See Stored."""
        memory = (MOST_MEMORY + 1024) * 1024
        try:
            made = hashlib.scrypt(
                password, salt=self.salt, n=self.n, r=self.r, p=self.p, maxmem=memory, dklen=64
            )
        except ValueError:  # an N that is too large for r
            raise Unfit(_DAMAGED) from None
        return hmac.compare_digest(made, self.digest)


def _cost_of_argon2(found: Any) -> str:
    if len(found.checksum) < LEAST_ARGON2:
        raise Unfit("has a digest that is too short; was its column too narrow for it?")
    memory, passes, lanes = found.memory_cost, found.rounds, found.parallelism
    _bound(memory <= MOST_MEMORY and memory * passes <= MOST_ARGON2 and lanes <= 64)
    return f"{memory} KiB, {passes} passes, {lanes} lanes"


def _cost_of_scrypt(found: Any) -> str:
    _bound_scrypt(1 << found.rounds, found.block_size, found.parallelism)
    return f"N {1 << found.rounds}, r {found.block_size}, p {found.parallelism}"


def _bound_scrypt(n: int, r: int, p: int) -> None:
    _bound(n * r // 8 <= MOST_MEMORY and n * r * p <= MOST_SCRYPT)


def _rounds(most: int) -> Callable[[Any], str]:
    def cost(found: Any) -> str:
        _bound(found.rounds <= most)
        return f"{found.rounds} rounds"

    return cost


def _bound(fits: bool) -> None:
    if not fits:
        raise Unfit("is too costly to be verified; is it a hash?")


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a kind: what it begins with, and what is to be done with it."""

    begins: str
    handler: str
    cost: Callable[[Any], str]
    treat: Treatment = _as_it_is
    drops: int = 0
    """Characters before what libpass knows."""
    longest: int = LONGEST_PASSWORD
    """Octets of a password."""


_argon2, _bcrypt = ("argon2", _cost_of_argon2), ("bcrypt", _rounds(MOST_BCRYPT))
_pbkdf2, _sha_crypt = _rounds(MOST_PBKDF2), _rounds(MOST_SHA_CRYPT)
_BCRYPTS = ("$2b$", "$2y$", "$2a$")
_ARGON2S = ("$argon2id$", "$argon2i$")

FORMS: dict[str, tuple[Form, ...]] = {
    "argon2": tuple(Form(one, *_argon2) for one in _ARGON2S),
    "bcrypt": tuple(Form(one, *_bcrypt, treat=_cut) for one in _BCRYPTS),
    "scrypt": (Form("$scrypt$", "scrypt", _cost_of_scrypt),),
    "pbkdf2-sha256": (Form("$pbkdf2-sha256$", "pbkdf2_sha256", _pbkdf2),),
    "pbkdf2-sha512": (Form("$pbkdf2-sha512$", "pbkdf2_sha512", _pbkdf2),),
    "django": (
        Form("pbkdf2_sha256$", "django_pbkdf2_sha256", _pbkdf2),
        Form("pbkdf2_sha1$", "django_pbkdf2_sha1", _pbkdf2),
        *(Form(f"argon2{one}", *_argon2, drops=len("argon2")) for one in _ARGON2S),
        *(
            Form(f"bcrypt_sha256${one}", *_bcrypt, _sha256, len("bcrypt_sha256$"))
            for one in _BCRYPTS
        ),
        *(Form(f"bcrypt${one}", *_bcrypt, _cut, len("bcrypt$")) for one in _BCRYPTS),
    ),
    "sha512-crypt": (Form("$6$", "sha512_crypt", _sha_crypt, longest=LONGEST_CRYPT),),
    "sha256-crypt": (Form("$5$", "sha256_crypt", _sha_crypt, longest=LONGEST_CRYPT),),
    "phpass": tuple(Form(one, "phpass", _rounds(MOST_PHPASS)) for one in ("$P$", "$H$")),
    "wordpress": (
        *(Form(f"$wp{one}", *_bcrypt, _wordpress, len("$wp")) for one in _BCRYPTS),
        Form("$P$", "phpass", _rounds(MOST_PHPASS), _trimmed),
    ),
    "nextcloud": (
        *(Form(f"3|{one}", *_argon2, drops=2) for one in _ARGON2S),
        *(Form(f"2|{one}", *_argon2, drops=2) for one in _ARGON2S),
        *(Form(f"1|{one}", *_bcrypt, _cut, 2) for one in _BCRYPTS),
    ),
}
_USUAL: dict[str, dict[str, int]] = {
    "django": {"rounds": 1_000_000},  # 5.2's
    "bcrypt": {"rounds": 12},
    "wordpress": {"rounds": 10},
    "nextcloud": {"memory_cost": 65_536, "rounds": 4, "parallelism": 1},  # PHP's
    "sha512-crypt": {"rounds": 5000},
    "sha256-crypt": {"rounds": 5000},
    "phpass": {"rounds": 13},
}
"""What the programs do, where libpass would do otherwise."""
KINDS = (*FORMS, *scram.KINDS.values(), PLAIN)
_DJANGO_SCRYPT = re.compile(
    r"scrypt\$(?P<n>[0-9]{1,8})\$(?P<salt>[^$]+)\$(?P<r>[0-9]{1,4})\$(?P<p>[0-9]{1,4})"
    r"\$(?P<digest>[A-Za-z0-9+/]{86}==)"
)


def read(text: str, kinds: Collection[str]) -> Stored:
    """What is stored, as one of these kinds. Raises Unfit."""
    for kind in kinds:
        for form in FORMS.get(kind, ()):
            if text.startswith(form.begins):
                return _read(text, kind, form)
        if kind == "django" and text.startswith("scrypt$"):
            return _read_django_scrypt(text)
    beside = any(kind in FORMS for kind in kinds)
    if PLAIN in kinds and not looks_hashed(text, beside_hashes=beside):
        return Plain(text.encode())
    raise Unfit("is none of `hashes`, " + ", ".join(kinds))


def decoy(kind: str) -> Stored:
    """What no password matches, of a kind at its usual cost, which making it takes as well."""
    if kind == PLAIN:
        return Plain(os.urandom(16))
    if kind in scram.KINDS.values():
        return scram.decoy(kind)
    form = FORMS[kind][0]
    handler = getattr(library, form.handler).using(**_USUAL.get(kind, {}))
    text = handler.hash(os.urandom(16).hex())
    return Hash(f"{kind}, as usual", handler, text, form.treat, form.longest)


def _read(text: str, kind: str, form: Form) -> Hash:
    handler = getattr(library, form.handler)
    bare = text[form.drops :]
    try:
        found = handler.from_string(bare if len(text) <= LONGEST_HASH else "")
    except Exception:  # noqa: BLE001 - fed with garbage, a library raises anything
        found = None
    if found is None or not found.checksum:  # libpass takes what stands before a digest as well
        raise Unfit(f"begins as {kind} does, and breaks off the form of one")
    cost = form.cost(found)
    return Hash(f"{kind}, {cost}", handler, bare, form.treat, form.longest)


def _read_django_scrypt(text: str) -> DjangoScrypt:
    found = _DJANGO_SCRYPT.fullmatch(text)
    if found is None or len(text) > LONGEST_HASH:
        raise Unfit("begins as django does, and breaks off the form of one")
    n, r, p = int(found["n"]), int(found["r"]), int(found["p"])
    if n < 2 or n & (n - 1) or not r or not p:
        raise Unfit("is no scrypt: its N, r or p cannot be")
    _bound_scrypt(n, r, p)
    return DjangoScrypt(n, r, p, found["salt"].encode(), binascii.a2b_base64(found["digest"]))
