"""What the state is needed for: without any of it, none is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from authbridge.checkers import CheckerSettings
from authbridge.checkers.token import TEMPORARY, TokenSettings
from authbridge.domains import DomainSettings
from authbridge.issuers.settings import IssuerSettings
from authbridge.settings import full_name


def uses_of_state(
    checkers: Mapping[str, CheckerSettings | None],
    issuers: Mapping[str, IssuerSettings],
    domains: Mapping[str, DomainSettings],
) -> tuple[str, ...]:
    """The settings that have use for it, in words."""
    return (*_of_checkers(checkers), *_of_issuers(issuers), *_of_domains(domains))


def _of_checkers(checkers: Mapping[str, CheckerSettings | None]) -> Iterator[str]:
    for name, checker in checkers.items():
        settings = None if checker is None else checker.settings
        if isinstance(settings, TokenSettings) and TEMPORARY in settings.accept:
            yield f'{full_name("checkers", name, "accept")} has "{TEMPORARY}"'


def _of_issuers(issuers: Mapping[str, IssuerSettings]) -> Iterator[str]:
    for name, issuer in issuers.items():
        if issuer.single_use:
            yield f"{full_name('issuers', name, 'single_use')} is true"
        if issuer.revocable:
            yield f"{full_name('issuers', name, 'revocable')} is true"


def _of_domains(domains: Mapping[str, DomainSettings]) -> Iterator[str]:
    for name, domain in domains.items():
        if domain.seen:
            yield f'{full_name("domains", name, "exists")} is "seen"'
