"""argon2id as PHC strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge import password_hash
from authbridge.password_hash import Cost

CHEAP = Cost(memory=8, passes=1, lanes=1)

# Made by the reference implementation's command line (argon2 … -id): add-only.
VECTORS = [
    (
        b"password",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    ),
    (
        b"password",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    ),
]


@pytest.mark.parametrize(("password", "phc"), VECTORS)
def test_the_reference_implementations_hashes_are_verified(password, phc):
    assert password_hash.read_cost(phc) is not None
    assert password_hash.verify(password, phc)
    assert not password_hash.verify(password + b"x", phc)


def test_a_hash_matches_its_password_alone_and_no_two_are_alike():
    one, two = (password_hash.make(b"wonderland", CHEAP) for _ in range(2))
    assert one != two
    assert password_hash.verify(b"wonderland", one)
    assert not password_hash.verify(b"wonderlanD", one)
    assert password_hash.read_cost(one) == CHEAP
    assert password_hash.read_cost(password_hash.make(b"x")) == password_hash.DEFAULT_COST


@pytest.mark.parametrize(
    ("prosody", "ejabberd"),
    [
        ("pä ss", "pa\u0308 ss"),  # composed
        ("a b", "a\u00a0b"),  # no-break space
        ("fi", "ﬁ"),  # ligature
        ("ab", "a\u00adb"),  # soft hyphen
    ],
)
def test_what_prosody_prepared_and_ejabberd_did_not_is_one_password(prosody, ejabberd):
    phc = password_hash.make(prosody.encode(), CHEAP)
    assert password_hash.verify(ejabberd.encode(), phc)
    phc = password_hash.make(ejabberd.encode(), CHEAP)
    assert password_hash.verify(prosody.encode(), phc)


@given(st.one_of(st.binary(max_size=30), st.text(max_size=15).map(str.encode)))
def test_preparing_never_fails_never_empties_and_is_stable(octets):
    prepared = password_hash.prepare(octets)
    assert bool(prepared) == bool(octets)
    assert password_hash.prepare(prepared) == prepared


@given(st.one_of(st.text().map(str.encode), st.binary()))
def test_what_is_prepared_already_is_left_as_it_is(octets):
    if password_hash.is_prepared(octets):
        assert password_hash.prepare(octets) == octets


@pytest.mark.parametrize("password", ["", "wonderland", "pässwörd ✓ 密码", "x" * 1023])
def test_what_saslprep_leaves_as_it_is_is_prepared(password):
    assert password_hash.is_prepared(password.encode())


@pytest.mark.parametrize(
    "octets", [b"\xff", b"a\tb", b"\0", "½".encode(), "\u00ad".encode(), b"x" * 1024]
)
def test_what_saslprep_changes_or_refuses_is_not_prepared(octets):
    assert not password_hash.is_prepared(octets)


def test_a_long_password_is_not_prepared():
    """Its normal form would take a second, in which nobody else is served; ten seconds at twice
    the length."""
    long = ("a" + "\u0301" * 11_900 + "\u0316" * 11_900).encode()
    assert password_hash.prepare(long) is long
    assert password_hash.prepare(("a\u0308" + "x" * 1020).encode()) == ("ä" + "x" * 1020).encode()
    assert password_hash.prepare(("a\u0308" + "x" * 1021).encode()).startswith(b"a\xcc\x88")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wonderland",
        "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c",
        "$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c",
        "$argon2id$v=19$m=8,t=1,p=2$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5w",
        "$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5w",
        "$argon2id$v=19$m=65536,t=65,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5w",
        "$argon2id$v=19$m=65536,t=1,p=65$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5w",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5b",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHR$CTFhFdXPJO1aFaMaO6Mm5w",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5w\n",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    ],
)
def test_what_is_no_hash_of_ours_is_not_taken(text):
    assert password_hash.read_cost(text) is None


def test_a_decoy_costs_what_most_hashes_cost_and_matches_nothing():
    decoy = password_hash.decoy([CHEAP, Cost(16, 1, 1), CHEAP])
    assert password_hash.read_cost(decoy) == CHEAP
    assert not password_hash.verify(b"", decoy)
    assert password_hash.read_cost(password_hash.decoy([])) == password_hash.DEFAULT_COST
