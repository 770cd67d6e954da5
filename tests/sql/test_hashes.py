"""Hashes of passwords as websites store them."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import subprocess
import sys
from typing import ClassVar

import bcrypt
import passlib.hash as library
import pytest

from authbridge.sql import hashes
from authbridge.sql.hashes import Unfit

PASSWORD = 'pä"ss\\word'.encode()


def wordpress(password: bytes) -> str:
    inner = base64.b64encode(hmac.digest(b"wp-sha384", password, "sha384"))
    return "$wp" + bcrypt.hashpw(inner, bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")


def made(kind: str, password: bytes = PASSWORD) -> list[str]:
    """Hashes of a kind, cheap ones, of libraries other than what verifies where there are some."""
    argon2 = library.argon2.using(memory_cost=64, rounds=1, parallelism=1)
    argon2i = argon2.using(type="i")
    sha = hashlib.sha256(password).hexdigest().encode()
    return {
        "argon2": lambda: [argon2.hash(password), argon2i.hash(password)],
        "bcrypt": lambda: [
            bcrypt.hashpw(password, bcrypt.gensalt(4, prefix)).decode() for prefix in (b"2a", b"2b")
        ],
        "scrypt": lambda: [library.scrypt.using(rounds=4).hash(password)],
        "pbkdf2-sha256": lambda: [library.pbkdf2_sha256.using(rounds=2).hash(password)],
        "pbkdf2-sha512": lambda: [library.pbkdf2_sha512.using(rounds=2).hash(password)],
        "django": lambda: [
            library.django_pbkdf2_sha256.using(rounds=2).hash(password),
            library.django_pbkdf2_sha1.using(rounds=2).hash(password),
            "argon2" + argon2.hash(password),
            "bcrypt_sha256$" + bcrypt.hashpw(sha, bcrypt.gensalt(4)).decode(),
            "bcrypt$" + bcrypt.hashpw(password, bcrypt.gensalt(4)).decode(),
            "scrypt$16$salt$8$1$"
            + base64.b64encode(hashlib.scrypt(password, salt=b"salt", n=16, r=8, p=1)).decode(),
        ],
        "sha512-crypt": lambda: [library.sha512_crypt.using(rounds=1000).hash(password)],
        "sha256-crypt": lambda: [library.sha256_crypt.using(rounds=1000).hash(password)],
        "phpass": lambda: [library.phpass.using(rounds=7).hash(password)],
        "wordpress": lambda: [
            wordpress(password),
            library.phpass.using(rounds=7).hash(password),
        ],
        "nextcloud": lambda: [
            "3|" + argon2.hash(password),
            "2|" + argon2i.hash(password),
            "1|" + bcrypt.hashpw(password, bcrypt.gensalt(4)).decode(),
        ],
        "plain": lambda: [password.decode()],
    }[kind]()


HERE = (*hashes.FORMS, hashes.PLAIN)


@pytest.mark.parametrize("kind", HERE)
def test_a_hash_matches_its_password_and_no_other(kind):
    for text in made(kind):
        stored = hashes.read(text, ["argon2", kind])
        assert stored.verify(PASSWORD), text
        for other in (b"x", PASSWORD + b"x", b"\xff\xfe", b"x" * 50_000):
            assert not stored.verify(other)
        assert text not in repr(stored)
        assert stored.described.partition(",")[0].partition(" ")[0] == kind


def test_nothing_but_the_kinds_that_are_named_is_looked_at():
    for kind in hashes.FORMS:
        for text in made(kind):
            others = [one for one in hashes.FORMS if one not in (kind, "phpass", "wordpress")]
            if kind in others or not text.startswith("$P$"):
                with pytest.raises(Unfit, match="is none of `hashes`"):
                    hashes.read(text, [one for one in others if one != kind])


def test_a_hash_that_costs_too_much_is_not_begun():
    salt, digest = "c29tZXNhbHQ", "IMit9qkFULCMA/ViizL57cnTLOa5DiVM9eMwpAvPwr4"
    bcrypted = "abcdefghijklmnopqrstuuJHtlqNRuBXUORL5k1k0aTYfBDtxHZYO"
    for kind, text in (
        ("argon2", f"$argon2id$v=19$m=2097152,t=1,p=1${salt}${digest}"),
        ("argon2", f"$argon2id$v=19$m=65536,t=65536,p=1${salt}${digest}"),
        ("argon2", f"$argon2id$v=19$m=65536,t=1,p=255${salt}${digest}"),
        ("bcrypt", f"$2b$31${bcrypted}"),
        ("wordpress", f"$wp$2y$16${bcrypted}"),
        ("scrypt", f"$scrypt$ln=31,r=8,p=1${salt}${digest}"),
        ("scrypt", f"$scrypt$ln=14,r=8,p=1000${salt}${digest}"),
        ("pbkdf2-sha256", f"$pbkdf2-sha256$2147483647${salt}${digest}"),
        ("django", f"pbkdf2_sha256$2147483647$salt${digest}="),
        ("django", f"scrypt$16777216$salt$8$1${'A' * 86}=="),
        ("sha512-crypt", f"$6$rounds=999999999$salt${'x' * 86}"),
        ("phpass", f"$P$S{'x' * 30}"),
    ):
        with pytest.raises(Unfit, match="too costly"):
            hashes.read(text, [kind])


def test_what_breaks_off_the_form_is_no_hash_and_is_not_repeated():
    for kind, text in (
        ("argon2", "$argon2id$v=19$m=0hunter2"),
        ("argon2", "$argon2id$v=19$m=-1,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHQ"),
        ("bcrypt", "$2b$04$hunter2"),
        ("bcrypt", "$2b$ä"),
        ("django", "pbkdf2_sha256$hunter2"),
        ("django", "bcrypt_sha256$$2b$04$hunter2"),
        ("django", "scrypt$hunter2"),
        ("django", f"scrypt$3$salt$8$1${'A' * 86}=="),
        ("django", f"scrypt$2$salt$0$1${'A' * 86}=="),
        ("wordpress", "$P$hunter2"),
        ("nextcloud", "3|$argon2id$hunter2"),
        ("sha512-crypt", "$6$hunter2$x"),
        ("sha512-crypt", "$6$hunter2hunter2"),
        ("argon2", "$argon2id$m=64,t=1,p=1,keyid=hunter2$c29tZXNhbHQ$c29tZXNhbHQ"),
        ("bcrypt", "$2b$04$hunter2hunter2huntereu"),
        ("phpass", "$P$"),
        ("wordpress", "$P$"),
        ("scrypt", "$scrypt$m=8,t=1,p=1$hunter2$x"),
        ("django", f"pbkdf2_sha256$2${'hunter2' * 200}${'A' * 43}="),
        ("django", f"scrypt$16${'hunter2' * 200}$8$1${'A' * 86}=="),
    ):
        with pytest.raises(Unfit) as raised:
            hashes.read(text, [kind])
        assert "hunter2" not in str(raised.value)


def test_a_digest_that_has_lost_its_end_is_no_shorter_secret():
    text = made("argon2")[0]
    with pytest.raises(Unfit, match="is too short"):
        hashes.read(text[:-31], ["argon2"])
    # This one is found out by the library, whose words would repeat it.
    with pytest.raises(Unfit) as raised:
        hashes.read(text.replace("p=1", "p=1,data=AAAA"), ["argon2"]).verify(PASSWORD)
    assert str(raised.value) == "cannot be verified: it is damaged"


def test_what_is_stored_as_a_hash_is_no_password_beside_plain_text():
    """Whoever has read the table could log in with what is in it."""
    digests = [hashlib.new(name, b"x").hexdigest() for name in ("md5", "sha1", "sha256", "sha512")]
    texts = ["{SSHA}b3Blbg==", "$2x$04$x", "$y$j9T$x", "md5$salt$x", "crypt$$x", *digests]
    for kind in hashes.FORMS:
        texts += made(kind)
    for text in texts:
        for kinds in (["plain", "bcrypt"], ["argon2", "plain"]):
            for one in (text, f" {text}"):
                try:
                    stored = hashes.read(one, kinds)
                except Unfit:
                    continue
                assert not stored.verify(one.encode()), (one, kinds)
    for text in ("$ecret", "cash$money$", "{x", "a" * 33, "md5", "$a b$"):
        assert hashes.read(text, ["bcrypt", "plain"]).verify(text.encode())
    # Where no hash is expected, a key of random digits is a password like others.
    assert hashes.read(digests[0], ["plain"]).verify(digests[0].encode())
    with pytest.raises(Unfit):
        hashes.read(made("bcrypt")[0], ["plain"])


def test_what_was_hashed_before_a_website_changed_its_mind_is_none_of_its_kinds():
    for kind, text in (
        ("nextcloud", hashlib.sha1(b"x").hexdigest()),
        ("nextcloud", made("bcrypt")[0]),
        ("wordpress", hashlib.md5(b"x").hexdigest()),
        ("django", "md5$salt$" + hashlib.md5(b"saltx").hexdigest()),
        ("argon2", "$argon2d$v=19$m=64,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHQ"),
    ):
        with pytest.raises(Unfit, match="is none of"):
            hashes.read(text, [kind])


def test_wordpress_trims_and_adds_backslashes_and_so_does_this():
    for text in (wordpress(b'pa\\"ss'), library.phpass.using(rounds=7).hash(b'pa\\"ss')):
        assert hashes.read(text, ["wordpress"]).verify(b' pa"ss\n')
    assert hashes.read(wordpress(b"pass"), ["wordpress"]).verify(b" pass")
    assert not hashes.read(made("phpass", b"pass")[0], ["phpass"]).verify(b" pass")


def test_bcrypt_looks_at_72_octets():
    text = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert hashes.read(text, ["bcrypt"]).verify(b"x" * 80)
    assert not hashes.read(text, ["bcrypt"]).verify(b"x" * 71)


@pytest.mark.parametrize("kind", ["sha512-crypt", "sha256-crypt"])
def test_crypt_hashes_511_octets_at_the_most_and_longer_passwords_are_nobodys(kind):
    longest = b"x" * 511
    assert hashes.read(made(kind, longest)[0], [kind]).verify(longest)
    for text in (*made(kind, longest), *made(kind, longest + b"x")):
        assert not hashes.read(text, [kind]).verify(longest + b"x")


@pytest.mark.parametrize("kind", ["sha512-crypt", "sha256-crypt", "phpass"])
def test_a_password_that_is_too_long_costs_what_the_longest_does(kind):
    class Handler:
        hashed: ClassVar[list[bytes]] = []

        def verify(self, password, _text):
            self.hashed.append(password)
            return True

    longest = 4096 if kind == "phpass" else 511
    for stored in (hashes.read(made(kind)[0], [kind]), hashes.decoy(kind)):
        counting = dataclasses.replace(stored, handler=Handler())
        assert counting.verify(b"x" * longest)
        assert not counting.verify(b"x" * 50_000)
    assert {len(one) for one in Handler.hashed} == {longest}


def test_a_scrypt_that_the_library_refuses_is_damaged():
    """OpenSSL wants N to be less than 2 to the power of 16 r."""
    stored = hashes.read(f"scrypt$65536$salt$1$1${'A' * 86}==", ["django"])
    with pytest.raises(Unfit, match="it is damaged"):
        stored.verify(PASSWORD)


def test_plain_text_is_compared_prepared():
    stored = hashes.read("\u212bngstr\u00f6m", ["plain"])
    assert stored.verify("\u00c5ngstr\u00f6m".encode())
    assert stored.described == "plain text"


def test_django_makes_what_is_verified():
    script = (
        "from django.conf import settings; settings.configure()\n"
        "from django.contrib.auth import hashers\n"
        "for one in (hashers.PBKDF2PasswordHasher(), hashers.PBKDF2SHA1PasswordHasher()):\n"
        "    print(one.encode('p\\u00e4ss', one.salt(), 2))\n"
        "for one in (hashers.Argon2PasswordHasher(), hashers.BCryptSHA256PasswordHasher(),\n"
        "            hashers.BCryptPasswordHasher(), hashers.ScryptPasswordHasher()):\n"
        "    one.memory_cost, one.parallelism, one.rounds, one.work_factor = 64, 1, 4, 16\n"
        "    print(one.encode('p\\u00e4ss', one.salt()))\n"
        "print(hashers.make_password(None))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    *texts, unusable = done.stdout.split()
    assert len(texts) == 6, done.stderr
    for text in texts:
        stored = hashes.read(text, ["django"])
        assert stored.verify("päss".encode())
        assert not stored.verify(b"pass")
    assert unusable.startswith(hashes.UNUSABLE)


@pytest.mark.parametrize("kind", hashes.KINDS)
def test_a_decoy_matches_nothing(kind):
    assert not hashes.decoy(kind).verify(b"x")
