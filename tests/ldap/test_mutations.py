"""50,000 mutated replies: each is refused, or means what a second opinion says that it means.

Half are mutated as octets (bits, insertions, deletions, truncations, lengths, tags, splices of
two), half as trees: elements changed, dropped, doubled, shuffled, grafted from another reply,
wrapped, and written with the right lengths again, so that what is wrong is not merely a length.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from authbridge.ldap import codec, ppolicy
from authbridge.ldap.ber import Malformed
from authbridge.ldap.codec import Inbox
from tests.ldap import oracle
from tests.ldap.oracle import BIND, Element
from tests.ldap.ours import read, single
from tests.ldap.test_recorded import ANSWERS, HANDMADE, WELL_FORMED

COUNT, SEEDS = 5_000, 10

REPLIES = [line["octets"] for line in ANSWERS + WELL_FORMED if len(line["hex"]) < 1600]
BINDS = [octets for octets in REPLIES if oracle.message(octets)[1] == BIND]
TAGS = bytes.fromhex("010204050a243031606163646577737879808183878a8ba0a1a3a47f1f00ff")
NUMBERS = [
    b"", b"\0", b"\1", b"\x31", b"\x7f", b"\x80", b"\xff", b"\0\0", b"\0\x31", b"\0\x80", b"\1\0",
    b"\xff\xff", b"\0" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\x80\0\0\0", b"\1" * 8,
    b"\0" * 9,
]  # fmt: skip


# --- octets ---------------------------------------------------------------------------------------


def headers(octets: bytes) -> list[int]:
    """Where elements begin."""
    found, waiting = [], [(0, len(octets))]
    while waiting:
        at, end = waiting.pop()
        while at < end:
            start, size = oracle.header(octets[at:end])
            found.append(at)
            if octets[at] & 0x20:
                waiting.append((at + start, at + start + size))
            at += start + size
    return found


def flip(dice, octets):
    changed = bytearray(octets)
    for _ in range(dice.choice([1, 1, 2, 5])):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def insert(dice, octets):
    at = dice.randrange(len(octets) + 1)
    some = dice.choice([b"\0", b"\x04\0", b"\x0a\1\0", dice.randbytes(dice.randint(1, 6))])
    return octets[:at] + some + octets[at:]


def delete(dice, octets):
    at = dice.randrange(len(octets))
    return octets[:at] + octets[at + dice.choice([1, 1, 2, 3, 9]) :]


def truncate(dice, octets):
    return octets[: dice.randrange(len(octets))]


def relength(dice, octets):
    """Another length for one element, in octets that are right for nobody else."""
    at = dice.choice(headers(octets))
    start, size = oracle.header(octets[at:])
    count = dice.choice([0, 1, 2, 3, 4, 5, 8, 126, 127])
    kind = dice.random()
    if kind < 0.4:
        size = max(size + dice.choice([-2, -1, 1, 2, 100]), 0)
    elif kind < 0.5:
        size = dice.choice([0, 1, 127, 128, 2**16, 2**31 - 1, 2**32 - 1])
    if kind < 0.4 and size < 128:
        length = bytes([size])
    else:
        length = bytes([128 | count]) + size.to_bytes(8, "big").rjust(127, b"\0")[127 - count :]
    return octets[: at + 1] + length + octets[at + start :]


def retag(dice, octets):
    at = dice.choice(headers(octets))
    return octets[:at] + bytes([dice.choice(TAGS)]) + octets[at + 1 :]


def splice(dice, octets):
    other = dice.choice(REPLIES)
    if dice.random() < 0.3:
        return octets + other
    return octets[: dice.randrange(len(octets) + 1)] + other[dice.randrange(len(other) + 1) :]


# --- trees ----------------------------------------------------------------------------------------


def nodes(tree: Element) -> list[Element]:
    found, waiting = [], [tree]
    while waiting:
        element = waiting.pop()
        found.append(element)
        waiting += element.children or []
    return found


class Verbatim(Element):
    """Octets in place of an element."""

    def encode(self) -> bytes:
        return self.content


def foreign(dice) -> Element:
    (tree,) = oracle.elements(dice.choice(REPLIES))
    return dice.choice(nodes(tree))


def set_tag(dice, children, at):
    children[at].tag = dice.choice(TAGS)


def drop(dice, children, at):
    if len(children) > 1:
        del children[at]


def double(dice, children, at):
    children.insert(dice.randrange(len(children) + 1), children[at])


def shuffle(dice, children, at):
    dice.shuffle(children)


def insert_foreign(dice, children, at):
    children.insert(at + dice.randrange(2), foreign(dice))


def replace(dice, children, at):
    children[at] = foreign(dice)


def wrap(dice, children, at):
    children[at] = Element(dice.choice([children[at].tag, 0x24, 0x30, 0x61, 0xA0]), [children[at]])


def set_content(dice, children, at):
    children[at].children, children[at].content = None, dice.choice(NUMBERS)


def lengthen(dice, children, at):
    octets = children[at].encode()
    start, size = oracle.header(octets)
    length = b"\x84" + size.to_bytes(4, "big")
    children[at] = Verbatim(0, None, octets[:1] + length + octets[start:])


def insert_number(dice, children, at):
    children.insert(at, Element(dice.choice(TAGS), None, dice.choice(NUMBERS)))


OF_TREES = [
    set_tag, drop, double, shuffle, insert_foreign, replace, wrap, set_content, lengthen,
    insert_number,
]  # fmt: skip


def graft(dice, octets):
    (tree,) = oracle.elements(octets)
    for _ in range(dice.choice([1, 1, 1, 2])):
        children = dice.choice([node for node in nodes(tree) if node.children]).children
        dice.choice(OF_TREES)(dice, children, dice.randrange(len(children)))
    return tree.encode()


BLIND = [flip, insert, delete, truncate, splice]
OF_OCTETS = [*BLIND, flip, relength, relength, retag]


def mutants(dice: random.Random):
    while True:
        octets = dice.choice(BINDS if dice.random() < 0.4 else REPLIES)
        mutate = graft if dice.random() < 0.5 else dice.choice(OF_OCTETS)
        mutant = mutate(dice, octets)
        if mutant and dice.random() < 0.05:
            mutant = dice.choice(BLIND)(dice, mutant)
        if mutant and mutant != octets:
            yield mutant


def ours(mutant: bytes):
    try:
        return read(mutant)
    except Malformed:
        return None


def theirs(mutant: bytes):
    try:
        found, rest = oracle.messages(mutant, codec.LARGEST_REPLY)
    except oracle.Refused:
        return None
    return found, rest != b""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_mutated_replies_are_refused_or_mean_what_they_say(seed):
    dice = random.Random(seed)
    seen: Counter[str] = Counter()
    generator = mutants(dice)
    for number in range(COUNT):
        mutant = next(generator)
        result, expected = ours(mutant), theirs(mutant)
        # In both directions: nothing is accepted that is not exactly so, and nothing else refused.
        assert result == expected, f"seed {seed}, number {number}: {mutant.hex()}"
        if result is None:
            seen["refused"] += 1
        elif not result[0]:
            seen["not whole"] += 1
        else:
            seen["read"] += 1
            seen["a bind success"] += any(
                kind == BIND and content[0] == 0 for _, kind, content, _ in result[0]
            )
        if number % 10 == 0:
            in_octets(mutant, result)
    # The mutations are worth something: there are many of each.
    assert seen["refused"] > COUNT // 3
    assert seen["read"] > COUNT // 8
    assert seen["a bind success"] > COUNT // 100
    assert seen["not whole"] > COUNT // 50


def in_octets(mutant: bytes, result) -> None:
    """Octet by octet the end is the same."""
    try:
        found = read(*single(mutant))
    except Malformed:
        found = None
    assert found == result, mutant.hex()


POLICIES = [
    octets
    for line in HANDMADE
    if isinstance(line.get("policy"), dict)
    for octets in Inbox().feed(line["octets"])[0].controls.values()
]


def our_policy(value: bytes):
    try:
        found = ppolicy.read({ppolicy.OID: value})
    except Malformed:
        return None
    error = None if found.error is None else found.error.value
    return error, found.seconds_left, found.grace_left


def their_policy(value: bytes):
    try:
        return oracle.policy(value)
    except oracle.Refused:
        return None


def test_mutated_policies_are_refused_or_mean_what_they_say():
    dice = random.Random(0)
    seen: Counter[bool] = Counter()
    for number in range(COUNT):
        value = dice.choice(POLICIES)
        mutate = graft if dice.random() < 0.5 and len(value) > 2 else dice.choice(BLIND[:-1])
        mutant = mutate(dice, value)
        found = our_policy(mutant)
        assert found == their_policy(mutant), f"number {number}: {mutant.hex()}"
        seen[found is None] += 1
    assert min(seen.values()) > COUNT // 10


def test_ldap3s_decoder_would_let_some_of_them_in():
    """Among what is refused here are bind successes to a decoder that does not judge."""
    lax = 0
    generator = mutants(random.Random(0))
    for _ in range(COUNT):
        mutant = next(generator)
        if ours(mutant) is None and len(mutant) < 100:
            try:
                _, kind, content, _ = oracle.ldap3(mutant)
            except Exception:
                continue
            lax += kind == BIND and content[0] == 0
    assert lax > 50
