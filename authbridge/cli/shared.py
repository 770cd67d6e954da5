"""What the commands have in common: where the configuration is, how a command says no, and how
what it found is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from authbridge.issuers.keyring import AnyKey, MacKey
from authbridge.settings import ConfigurationError
from authbridge.tokens.keys import HMAC_ALGORITHMS
from authbridge.tokens.refusals import quoted

CONFIGURATION = Path("/etc/authbridge/authbridge.toml")
LONGEST_SHOWN = 80


def unusable(*mistakes: str) -> ConfigurationError:
    """Why what was asked for cannot be done; `main` prints it, and the status is 2."""
    return ConfigurationError(mistakes)


def print_json(told: Any) -> None:
    """One line for programs. What a terminal would not show is escaped, whoever has named it."""
    text = json.dumps(told, ensure_ascii=False)
    print("".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text))


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
