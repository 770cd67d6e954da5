"""Names prepared once, where they come in: nodeprep and nameprep (RFC 6122), as the servers do.

ejabberd and Prosody prepare users with nodeprep before they ask, so theirs arrive unchanged; what
arrives otherwise (a web back end, a line in a file of users) is brought to the same form here, so
that one account is one string for every comparison, limit and log line behind this door.
"""

from __future__ import annotations

import functools
import re
import string
from encodings import idna

from twisted.words.protocols.jabber.xmpp_stringprep import nameprep, nodeprep

from authbridge.model import JID

LONGEST_PART = 1023
"""Octets of UTF-8 in a part of a JID (RFC 7622, 3.2 and 3.3)."""

# Nearly every user is one of these; nodeprep changes none of them, and costs 40 µs to say so.
_PLAIN = frozenset(string.ascii_lowercase + string.digits + "._-")

# XEP-0106, 3.2; a backslash only where an escape would be read otherwise.
_ESCAPES = {character: f"\\{ord(character):02x}" for character in " \"&'/:<>@\\"}
_CHARACTERS = {escaped: character for character, escaped in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\(?:20|22|26|27|2f|3a|3c|3e|40|5c)")
_TO_ESCAPE = re.compile(r"""[ "&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)""")


class Unprepared(ValueError):
    """This is no name; the text says which part and why, never what was given."""


def local(octets: bytes) -> str:
    """The localpart in its one form.

    Raises Unprepared: not UTF-8, empty, too long, or with characters that nodeprep forbids.
    """
    text = _decode(octets, "the user's name")
    if text and _PLAIN.issuperset(text):
        return text
    try:
        prepared: str = nodeprep.prepare(text)
        stable = nodeprep.prepare(prepared) == prepared
    except UnicodeError:
        raise Unprepared("the user's name holds a character that a JID may not hold") from None
    # A few characters need nodeprep twice; two forms of one name are what it is to prevent.
    if not prepared or not stable or len(prepared.encode()) > LONGEST_PART:
        raise Unprepared("the user's name is empty, too long or has no single form")
    return prepared


@functools.lru_cache(maxsize=256)  # 15 µs, and there are few domains
def domain(octets: bytes) -> str:
    """The domain in its one form: nameprep, in Unicode, without the root's dot.

    Raises Unprepared: not UTF-8, empty, too long, or not a host name.
    """
    text = _decode(octets, "the domain")
    try:
        prepared: str = nameprep.prepare(text).removesuffix(".")
        labels = [
            str(idna.ToUnicode(label)) if label.startswith("xn--") else label
            for label in prepared.split(".")
        ]
        prepared = ".".join(labels)
        stable = nameprep.prepare(prepared) == prepared
    except (UnicodeError, IndexError):  # IndexError: an empty label
        raise Unprepared("the domain is not a host name") from None
    if not prepared or not stable or len(prepared.encode()) > LONGEST_PART:
        raise Unprepared("the domain is empty, too long or has no single form")
    return prepared


def unescape(local: str) -> str:
    r"""What a localpart stands for (XEP-0106): `o\27brien` for `o'brien`.

    Raises Unprepared where another localpart stands for the same, and is the right one.
    """
    if "\\" not in local:
        return local
    text = _ESCAPED.sub(lambda found: _CHARACTERS[found[0]], local)
    if text.startswith(" ") or text.endswith(" "):
        raise Unprepared("the user's name begins or ends with an escaped space")
    if escape(text) != local:
        raise Unprepared("the user's name has an escape that it does not need, or lacks one")
    return text


def escape(text: str) -> str:
    """The localpart that stands for a name with characters that a localpart may not hold
    (XEP-0106). It is not prepared yet."""
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)


def jid(text: str) -> JID:
    """`user@domain` as one prepared JID. Raises Unprepared."""
    user, at, host = text.rpartition("@")
    if not at:
        raise Unprepared("there is no @ in it")
    # Undecodable bytes of a command line are surrogates here; as bytes they reach the checks.
    return JID(
        local(user.encode(errors="surrogateescape")), domain(host.encode(errors="surrogateescape"))
    )


def _decode(octets: bytes, what: str) -> str:
    if len(octets) > LONGEST_PART:
        raise Unprepared(f"{what} is longer than {LONGEST_PART} octets")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Unprepared(f"{what} is not UTF-8") from None
