"""Who takes an issuer's tokens: whether each domain that it names has a checker for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from authbridge.checkers.token import ACCEPTED_KINDS
from authbridge.domain_names import ANY_DOMAIN
from authbridge.settings import full_name


class Takers:
    """The checkers of kind "token", and where they are asked."""

    def __init__(
        self,
        checks: Mapping[str, tuple[str, ...]],
        known: Collection[str],
        accept: Mapping[str, frozenset[str]],
    ) -> None:
        """`checks`: of each domain. `known`: the checkers without a mistake. `accept`: of each
        checker of kind "token", as it was read."""
        self._checks = checks
        # Who accepts nothing, or what is not known, has a mistake, and may have meant any.
        self._accept = {
            name: kinds if kinds and kinds.issubset(ACCEPTED_KINDS) else frozenset(ACCEPTED_KINDS)
            for name, kinds in accept.items()
        }
        self._open = {
            name
            for name, check in self._checks.items()
            if not check or not set(check).issubset(known)
        }
        asked = {checker for check in self._checks.values() for checker in check}
        self.idle: Mapping[str, frozenset[str]] = {
            name: kinds
            for name, kinds in self._accept.items()
            if name not in asked and not self._open
        }
        """Those that no domain asks, and what they accept."""

    def of(self, kind: str) -> list[str]:
        """Who accepts it."""
        return [name for name, kinds in self._accept.items() if kind in kinds]

    def lacks(self, domain: str, kind: str) -> str:
        """Why nobody takes tokens of this kind for this domain, or, where it is "*", for any;
        empty where somebody does, or it cannot be told."""
        idle = [name for name in self.of(kind) if name in self.idle]
        if domain == ANY_DOMAIN:
            if idle != self.of(kind):
                return ""
            return f'no domain has one in its check that accepts "{kind}", as {idle[0]} does'
        served = domain if domain in self._checks else ANY_DOMAIN
        if served not in self._checks or served in self._open:
            return ""
        there = [name for name in self._checks[served] if name in self._accept]
        if not set(there).isdisjoint(self.of(kind)):
            return ""
        where = full_name("domains", served, "check")
        if there:
            return f'{there[0]}, which is in {where}, does not accept "{kind}"'
        return (
            f'no checker of kind "token" is in {where}, so that tokens would be taken for '
            f"passwords; put {(idle or self.of(kind))[0]} there, as the first"
        )
