"""Generated frames about the users of a directory, each with its right answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.system.directory import CROWD_PEOPLE, DOMAIN

OUTAGE = ERROR
"""For isuser too, by a setting of the daemon's: so every outage can be told from an answer."""

HOST = DOMAIN.encode()

Made = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Frame:
    """A request with its length, and its right answer."""

    kind: str
    octets: bytes
    answer: bytes

    @property
    def asks(self) -> bool:
        """Whether it is one that the directory may be asked about."""
        return self.kind in ASKING

    @property
    def is_login(self) -> bool:
        """Whether it is one that the directory alone can decide."""
        return self.kind in ("right", "wrong", "unknown")

    def accepts(self, answer: bytes) -> bool:
        """Whether this may be the answer: an outage's, too, where there may be one."""
        return answer == self.answer or (self.asks and answer == OUTAGE)


def frame(dice: random.Random) -> Frame:
    """One frame and its right answer, by rules written down apart from the product's."""
    (kind,) = dice.choices(_NAMES, cum_weights=_WEIGHTS)
    request, answer = _KINDS[kind][1](dice)
    return Frame(kind, len(request).to_bytes(2, "big") + request, answer)


def cut(dice: random.Random, octets: bytes) -> Iterator[bytes]:
    """The same octets whole, in odd pieces, or one by one."""
    how = dice.random()
    if how < 0.02 and len(octets) < 500:
        yield from (octets[at : at + 1] for at in range(len(octets)))
        return
    while octets and how < 0.3:
        size = dice.randrange(1, len(octets) + 1)
        yield octets[:size]
        octets = octets[size:]
    if octets:
        yield octets


def _user(dice: random.Random) -> bytes:
    return dice.choice(CROWD_PEOPLE).uid.encode()


def _ghost(dice: random.Random) -> bytes:
    return b"ghost%d" % dice.randrange(10**6)


def _right(dice: random.Random) -> Made:
    account = dice.choice(CROWD_PEOPLE)
    user = dice.choice([account.uid, account.uid.upper()]).encode()
    return b"auth:%b:%b:%b" % (user, HOST, account.password), TRUE


def _wrong(dice: random.Random) -> Made:
    account, other = dice.sample(CROWD_PEOPLE, 2)
    tail = dice.randbytes(dice.choice([1, 8, 300])).replace(b"\0", b"x") + b"."
    wrong = dice.choice([other.password, account.password + tail, account.password[:-1]])
    return b"auth:%b:%b:%b" % (account.uid.encode(), HOST, wrong), FALSE


def _unknown(dice: random.Random) -> Made:
    return b"auth:%b:%b:%b" % (_ghost(dice), HOST, dice.choice(CROWD_PEOPLE).password), FALSE


def _foreign(dice: random.Random) -> Made:
    account = dice.choice(CROWD_PEOPLE)
    return b"auth:%b:elsewhere.example:%b" % (account.uid.encode(), account.password), FALSE


def _refused(dice: random.Random) -> Made:
    verb = dice.choice([b"setpass", b"removeuser", b"removeuser3", b"certauth"])
    answer = ERROR if verb == b"setpass" else FALSE
    return b"%b:%b:%b:x" % (verb, _user(dice), HOST), answer


def _malformed(dice: random.Random) -> Made:
    whole = b"auth:%b:%b:x" % (_user(dice), HOST)
    return whole[: dice.randrange(whole.index(HOST))], FALSE


def _garbage(dice: random.Random) -> Made:
    size = dice.choice([0, 1, 40, 1000, 65535])
    return b"\xfe" * min(size, 1) + dice.randbytes(max(size - 1, 0)), FALSE


#: How often out of a thousand, and what makes one.
_KINDS: dict[str, tuple[int, Callable[[random.Random], Made]]] = {
    "right": (200, _right),
    "wrong": (120, _wrong),
    "unknown": (60, _unknown),
    "isuser yes": (120, lambda dice: (b"isuser:%b:%b" % (_user(dice), HOST), TRUE)),
    "isuser no": (60, lambda dice: (b"isuser:%b:%b" % (_ghost(dice), HOST), FALSE)),
    "tryregister": (40, lambda dice: (b"tryregister:%b:%b:x" % (_user(dice), HOST), FALSE)),
    "refused": (120, _refused),
    "foreign": (60, _foreign),
    "malformed": (120, _malformed),
    "unknown verb": (98, lambda dice: (b"login:%b:%b:x" % (_user(dice), HOST), FALSE)),
    "garbage": (2, _garbage),
}
ASKING = ("right", "wrong", "unknown", "isuser yes", "isuser no", "tryregister")
_NAMES = tuple(_KINDS)
_WEIGHTS = [sum(weight for weight, _ in list(_KINDS.values())[: n + 1]) for n in range(len(_KINDS))]
