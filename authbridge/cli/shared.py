"""What the commands have in common: where the configuration is, how a command says no, how
an argument is read, and how what was found is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from authbridge import preparation
from authbridge.issuers.keyring import AnyKey, MacKey
from authbridge.model import JID
from authbridge.settings import ConfigurationError, read_duration
from authbridge.tokens.keys import HMAC_ALGORITHMS
from authbridge.tokens.refusals import quoted

CONFIGURATION = Path("/etc/authbridge/authbridge.toml")
LONGEST_SHOWN = 80


def unusable(*mistakes: str) -> ConfigurationError:
    """Why what was asked for cannot be done; `main` prints it, and the status is 2."""
    return ConfigurationError(mistakes)


def read_jid(text: str) -> JID:
    """The user that an argument names. Raises ConfigurationError."""
    try:
        return preparation.jid(text)
    except preparation.Unprepared as error:
        raise unusable(f"{text!a} is no user@domain: {error}") from None
    except UnicodeEncodeError:
        raise unusable(f"{text!a} is no user@domain: it is not UTF-8") from None


def read_ttl(text: str) -> float:
    """The seconds of --ttl. Raises ConfigurationError."""
    seconds = read_duration(text)
    if seconds is None or seconds < 1:
        raise unusable(f'--ttl: {text!a} is no duration of a second or more, as "60s"')
    return seconds


def print_json(told: Any) -> None:
    """One line for programs. What a terminal would not show is escaped, whoever has named it."""
    print(escaped(json.dumps(told, ensure_ascii=False)))


def escaped(text: str) -> str:
    """A text that others have given, without what a terminal would obey, or not show."""
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def shown(name: str) -> str:
    """A name that others have given: as it is, unless it would pass for something else."""
    plain = name.isprintable() and " " not in name and len(name) <= LONGEST_SHOWN
    return name if plain else quoted(name, LONGEST_SHOWN)


def is_secret(key: AnyKey) -> bool:
    """Whether whoever verifies with it can sign as well."""
    return isinstance(key, MacKey) or key.algorithm in HMAC_ALGORITHMS


def kid_of(key: AnyKey) -> str | None:
    """Its kid, for people; None of a secret without one, which goes by a thumbprint that tells of
    it."""
    return None if is_secret(key) and key.kid == key.thumbprint else key.kid
