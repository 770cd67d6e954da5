"""`authbridge key`: make a key that signs tokens, and list those that are in force."""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc import jwk

from authbridge import config, wiring
from authbridge.cli.files import (
    make_folders,
    refuse_open_folder,
    unwritable,
    write_private,
    write_public,
    write_secret,
)
from authbridge.cli.shared import CONFIGURATION, is_secret, kid_of, print_json, shown, unusable
from authbridge.issuers.issuers import Issuer, KeysUnavailable
from authbridge.issuers.key_files import ENDINGS, list_files
from authbridge.issuers.keyring import AnyKey, MacKey, signs, use_of
from authbridge.settings import did_you_mean
from authbridge.tokens.keys import ALGORITHMS, HMAC_ALGORITHMS, BadKey

FOLDER = Path("/etc/authbridge/keys")
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
RSA_BITS = 3072
SECRET_OCTETS = {"HS384": 48, "HS512": 64}
USES = (*ALGORITHMS, "compact", "xcauth")
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def add_to(commands: Any) -> None:
    """Add the subcommands."""
    parser = commands.add_parser("key", help="make and list the keys of [issuers]")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a key, print what to paste where")
    new.add_argument("name", metavar="NAME", help="of the folder with this issuer's keys")
    new.add_argument(
        "--algorithm", default="ES256", metavar="ALGORITHM", help=f"ES256; or {', '.join(USES)}"
    )
    new.add_argument("--folder", type=Path, default=FOLDER, help=f"of such folders ({FOLDER})")
    new.add_argument(
        "--private", type=Path, metavar="FILE", help="for the private half, for who signs"
    )
    new.set_defaults(command=new_key)
    listing = actions.add_parser("list", help="tell which keys are in force")
    listing.add_argument("--config", type=Path, default=CONFIGURATION, metavar="FILE")
    listing.set_defaults(command=list_keys)
    for one in (new, listing):
        one.add_argument("--json", action="store_true", help="print it as JSON")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made, and where it is."""

    kid: str
    algorithm: str
    """Or a kind of token that is no JSON Web Token, and names its key by itself."""
    path: Path
    """What the daemon reads."""
    private: Path
    """What signs: of a secret the same file."""

    @property
    def is_secret(self) -> bool:
        """Whether both sides have the same."""
        return self.private == self.path

    @property
    def is_named(self) -> bool:
        """Whether a token says by its kid who has signed it."""
        return self.algorithm in ALGORITHMS


def new_key(chosen: argparse.Namespace) -> int:
    """Write the key to files of its own, print the stanza and what the signer needs."""
    algorithm = chosen.algorithm
    if not NAME.fullmatch(chosen.name) or chosen.name.startswith("."):
        raise unusable("A key's name is letters, digits, dot, _ and -.")
    if algorithm not in USES:
        raise unusable(f"--algorithm: {algorithm!a} is not known{did_you_mean(algorithm, USES)}")
    if chosen.private is not None and _is_secret(algorithm):
        raise unusable(f"--private: {algorithm} has one secret, which both sides know")
    folder = (chosen.folder / chosen.name).absolute()
    made = write_key(algorithm, folder, chosen.private)
    table = stanza(chosen.name, algorithm, folder)
    if chosen.json:
        print_json(
            {
                "kid": made.kid if made.is_named else None,
                "algorithm": algorithm,
                "file": str(made.path),
                "private": str(made.private),
                "stanza": table,
            }
        )
        return 0
    print(f"# authbridge.toml, if this is the issuer's first key\n{table}")
    care = ", and to copy it over a safe way" if made.is_secret else ""
    print(f"# Who signs needs {made.private}{care}")
    if made.is_named:
        header = f'"alg": "{algorithm}", "kid": "{made.kid}"'
        print(f"# and to say in the header of each token: {header}")
    return 0


def write_key(algorithm: str, folder: Path, private: Path | None) -> NewKey:
    """Make a key in the folder of its issuer's keys. `private`: where the private half of a pair
    goes. Raises ConfigurationError; then no part of the key is left anywhere."""
    kid = f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(2)}"
    try:
        make_folders(folder)
    except OSError as error:
        raise unwritable(error) from None
    refuse_open_folder(folder)
    try:
        if _is_secret(algorithm):
            path = private = folder / f"{kid}.secret"
            write_secret(path, secrets.token_urlsafe(SECRET_OCTETS.get(algorithm, 32)) + "\n")
        else:
            path = folder / f"{kid}.pem"
            private = (private or Path(f"{folder.name}-{kid}.private.pem")).absolute()
            _write_pair(make_pair(algorithm), path, private)
    except OSError as error:
        raise unusable(f"{error.filename}: {error.strerror}") from None
    return NewKey(kid, algorithm, path, private)


def _write_pair(pair: jwk.RSAKey | jwk.ECKey | jwk.OKPKey, public: Path, private: Path) -> None:
    """Both halves, or neither. Raises OSError."""
    write_private(private, pair.as_pem(private=True).decode())
    try:
        write_public(public, pair.as_pem(private=False).decode())
    except OSError:
        private.unlink()
        raise


def _is_secret(algorithm: str) -> bool:
    return algorithm in HMAC_ALGORITHMS or algorithm not in ALGORITHMS


def make_pair(algorithm: str) -> jwk.RSAKey | jwk.ECKey | jwk.OKPKey:
    """A new key of an algorithm that has two halves."""
    if algorithm in _CURVES:
        return jwk.ECKey.generate_key(_CURVES[algorithm])
    if algorithm == "EdDSA":
        return jwk.OKPKey.generate_key("Ed25519")
    return jwk.RSAKey.generate_key(RSA_BITS)


def stanza(name: str, algorithm: str, folder: Path) -> str:
    """The issuer's table of the configuration."""
    if algorithm in ALGORITHMS:
        kind, table = f"algorithms = [{json.dumps(algorithm)}]", "https://www.example.org"
    else:
        kind, table = f"kind = {json.dumps(algorithm)}", name
    return (
        f'[issuers."{table}"]\n{kind}\n'
        f"keys = [{json.dumps(str(folder), ensure_ascii=False)}]\n"
        'domains = ["example.org"]\n'
    )


def list_keys(chosen: argparse.Namespace) -> int:
    """Print every issuer with its keys; 3 where some cannot be fetched."""
    found: list[dict[str, Any]] = []

    async def walk(house: wiring.House) -> None:
        for issuer in house.surroundings.issuers:
            if issuer.fetched is not None:
                await issuer.fetched.ready()
            found.append(tell(issuer))

    wiring.visit(config.load(chosen.config, listens=False), walk)
    if chosen.json:
        print_json({"issuers": found})
    else:
        print("\n".join(line for issuer in found for line in render(issuer)) or "no issuers")
        for issuer in found:
            if issuer["trouble"]:
                print(f"[issuers.{issuer['issuer']}] {issuer['trouble']}", file=sys.stderr)
    return 3 if any(issuer["trouble"] for issuer in found) else 0


def tell(issuer: Issuer) -> dict[str, Any]:
    """What there is to know of an issuer's keys."""
    try:
        keys, trouble = list(issuer.keys()), ""
    except KeysUnavailable as error:
        keys, trouble = [], str(error)
    return {
        "issuer": issuer.settings.name,
        "kind": issuer.settings.kind,
        "keys": [tell_key(key) for key in keys],
        "empty": [words for path in issuer.settings.keys if (words := tell_empty(path))],
        "trouble": trouble,
    }


def tell_empty(path: Path) -> str:
    """What there is to say of a folder without keys, and nothing of one with keys."""
    try:
        files, others = list_files(path)
    except (OSError, BadKey):  # config.load has told
        return ""
    if files:
        return ""
    endings = ", ".join(sorted(ENDINGS))
    passed_over = f" but {others}, without one of the endings {endings}" if others else ""
    return f"there is nothing in {path}{passed_over}"


def tell_key(key: AnyKey) -> dict[str, Any]:
    """What there is to know of a key. Never the thumbprint of a secret, which tells of it."""
    return {
        "kid": kid_of(key),
        "key_id": key.key_id.hex() if isinstance(key, MacKey) else None,
        "thumbprint": None if is_secret(key) else key.thumbprint,
        "for": use_of(key),
        "size": key.size,
        "signs": signs(key),
        "source": key.source,
    }


def render(issuer: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = [f"[issuers.{issuer['issuer']}] {issuer['kind']}"]
    for key in issuer["keys"]:
        name = "(no kid)" if key["kid"] is None else shown(key["kid"])
        what = "verifies and signs" if key["signs"] else "verifies"
        lines.append(f"  {name:<20} {key['for']}, {key['size']}, {what}; {key['source']}")
        if key["thumbprint"]:
            lines.append(f"  {'':<20} thumbprint {key['thumbprint']}")
        if key["key_id"]:
            lines.append(f"  {'':<20} key id {key['key_id']}")
    if not issuer["keys"]:
        lines.append("  no key is in force")
    return lines + [f"  {words}" for words in issuer["empty"]]
