"""Which issuer signs a token that is made here, and with which of its keys."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from joserfc import jwk

from authbridge.cli.shared import kid_of, shown, unusable
from authbridge.issuers import key_files
from authbridge.issuers.keyring import AnyKey, MacKey, bind, signs
from authbridge.issuers.settings import IssuerSettings
from authbridge.model import JID
from authbridge.settings import ConfigurationError, did_you_mean
from authbridge.tokens import compact, jws, key_texts, xcauth
from authbridge.tokens.key_texts import Found, Member
from authbridge.tokens.keys import BadKey

Issuers = Mapping[str, IssuerSettings]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says about who signs; None: whoever can."""

    issuer: str | None
    kid: str | None
    file: Path | None
    """Of the key, where the configuration has it not, or its public half alone."""


def choose(issuers: Issuers, jid: JID, wanted: Wanted) -> tuple[IssuerSettings, AnyKey]:
    """The issuer and its key. Raises ConfigurationError, with what there is to choose from."""
    serving = _serving(issuers, jid, wanted.issuer)
    keys = list(_of_file(serving, wanted.file) if wanted.file else _of_issuers(serving))
    signing = [(issuer, key) for issuer, key in keys if signs(key)]
    if not signing:
        names = " and ".join(serving)
        raise unusable(
            f"{names}: no key here signs for {jid.domain}; public ones only verify, and --key FILE "
            "names a private one"
        )
    possible = [pair for pair in signing if wanted.kid in (None, pair[1].kid)]
    if not possible:
        raise _no_such_kid(wanted.kid or "", keys, signing)
    if len(possible) > 1:
        names = ", ".join(_arguments(issuer, key) for issuer, key in possible)
        raise unusable(f"several keys could sign; choose one: {names}")
    return possible[0]


def sign(
    settings: IssuerSettings, key: AnyKey, jid: JID, now: int, expiry: int, number: str
) -> str:
    """A token of this issuer. `number` is the `jti` of a JWT; others have no room for it."""
    if isinstance(key, MacKey):
        make = compact.make if key.kind == "compact" else xcauth.make
        return make(key.secret.reveal(), str(jid), expiry)
    typ = settings.rules.typ
    claims = {
        "iss": settings.name,
        settings.rules.subject: str(jid),
        "aud": settings.audiences[0].replace("{domain}", jid.domain),
        "iat": now,
        "exp": expiry,
        "jti": number,
    }
    return jws.sign({"typ": "JWT" if typ == "jwt" else typ}, claims, key)


def _serving(issuers: Issuers, jid: JID, name: str | None) -> Issuers:
    """Those that may sign for the user's domain, and are not ruled out by their name."""
    if not issuers:
        raise unusable("the configuration has no [issuers], and so nobody who signs tokens")
    if name is not None:
        if name not in issuers:
            raise unusable(f"there is no issuer {name!a}{did_you_mean(name, issuers)}")
        issuers = {name: issuers[name]}
    serving = {
        issuer: settings
        for issuer, settings in issuers.items()
        if settings.may_sign_for_domain(jid.domain)
    }
    if not serving:
        raise unusable(
            f"no issuer may sign for {jid.domain}"
            if name is None
            else f"{name} may not sign for {jid.domain}",
            *(
                f"`domains` of {issuer}: {', '.join(sorted(settings.domains))}"
                for issuer, settings in issuers.items()
            ),
        )
    return serving


def _of_issuers(issuers: Issuers) -> Iterator[tuple[IssuerSettings, AnyKey]]:
    wrong: list[str] = []  # which config.load has told
    for settings in issuers.values():
        yield from ((settings, key) for key in key_files.load(settings, wrong.append))


def _of_file(issuers: Issuers, file: Path) -> Iterator[tuple[IssuerSettings, AnyKey]]:
    """The keys of a file, for each issuer that would sign with such."""
    try:
        # Without a name: whatever the file is called, its thumbprint is known to the bridge.
        found = key_texts.read(file.read_bytes(), str(file), "", secrets=True)
        there = [found] if isinstance(found, Found) else [*_members(found)]
    except OSError as error:
        raise unusable(f"{file}: {error.strerror}") from None
    except BadKey as error:
        raise unusable(str(error)) from None
    if there and not any(one.jwk.is_private for one in there):
        raise unusable(
            f"{file} is the public half of a key and only verifies; who signs has the private one"
        )
    is_secret = any(isinstance(one.jwk, jwk.OctKey) for one in there)
    bound: list[tuple[IssuerSettings, AnyKey]] = []
    unfit: list[tuple[bool, str]] = []
    for name, settings in issuers.items():
        try:
            bound += ((settings, key) for key in bind(found, settings, str(file)))
        except BadKey as error:  # another issuer may take it
            unfit.append((settings.has_secrets is is_secret, f"{name}: {error}"))
    if not bound:
        near = [words for is_near, words in unfit if is_near]
        raise unusable(*(near or [words for _, words in unfit]))
    return iter(bound)


def _members(found: list[Member]) -> Iterator[Found]:
    for member in found:
        try:
            yield key_texts.read_member(member)
        except BadKey:
            continue  # `bind` tells, if nothing is left


def _no_such_kid(
    kid: str,
    keys: list[tuple[IssuerSettings, AnyKey]],
    signing: list[tuple[IssuerSettings, AnyKey]],
) -> ConfigurationError:
    if any(key.kid == kid for _, key in keys):
        words = f"--kid: {kid!a} is a public key, which only verifies"
    else:
        words = f"--kid: there is no key {kid!a} here"
    names = ", ".join(_arguments(issuer, key) for issuer, key in signing)
    return unusable(f"{words}; what signs is {names}")


def _arguments(settings: IssuerSettings, key: AnyKey) -> str:
    """How this key is asked for."""
    kid = kid_of(key)
    named = "" if kid is None else f" --kid {shlex.quote(shown(kid))}"
    return f"--issuer {shlex.quote(settings.name)}{named}"
