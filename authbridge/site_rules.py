"""Whether the sites fit together with what they name, and with who asks about them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from authbridge.checkers.token import TEMPORARY
from authbridge.domain_names import ANY_DOMAIN
from authbridge.domains import DomainSettings
from authbridge.frontends.clients import Client
from authbridge.frontends.sites import Site, sites_of_domain
from authbridge.issuers import key_files
from authbridge.issuers.keyring import Keyring, contradictions
from authbridge.issuers.settings import IssuerSettings
from authbridge.settings import Table, full_name
from authbridge.takers import Takers


def check_sites(root: Table, sites: Mapping[str, Site], takers: Takers) -> None:
    """Each has hosts of its own, and users whose tokens are accepted."""
    owners: dict[str, str] = {}
    for name, site in sites.items():
        for host in site.hosts:
            other = owners.setdefault(host, name)
            if other != name:
                words = f'"{host}" is a host of {full_name("sites", other)} too'
                root.mistakes.add(full_name("sites", name, "hosts"), words)
        if not site.domain or not root.mistaken.isdisjoint(("checkers", "domains")):
            continue
        words = takers.lacks(site.domain, TEMPORARY)
        if not takers.of(TEMPORARY):
            words = f'no checker of kind "token" accepts "{TEMPORARY}"'
        if words:
            root.mistakes.add(full_name("sites", name, "domain"), f'"{site.domain}": {words}')


def check_strangers(root: Table, sites: Mapping[str, Site]) -> None:
    """Nobody is let in at one site as somebody of another."""
    for (name, site), (other, elsewhere) in combinations(sites.items(), 2):
        of_one = site.domain and site.domain == elsewhere.domain
        meant = site.same_users and elsewhere.same_users
        if of_one and not meant and _overlap(site.jid, elsewhere.jid):
            root.mistakes.add(
                full_name("sites", other, "jid"),
                f"users of {full_name('sites', name)} may have the same JIDs of {site.domain}; "
                'give each site names of its own, as with "forum-{user}", or both '
                "same_users = true where a name is one person at both",
            )
        secret, its = site.session.proxy_secret, elsewhere.session.proxy_secret
        one_site = of_one and meant and site.jid == elsewhere.jid  # by two names
        if one_site or secret is None or its is None:
            continue
        if secret.matches(its.reveal()):
            root.mistakes.add(
                full_name("sites", other, "session", "secret_file"),
                f"has the secret of {full_name('sites', name)}, whose proxy could speak for this "
                "site's users; give each its own",
            )


def _overlap(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two templates can make one localpart."""
    (before, behind), (its_before, its_behind) = one, other
    return (before.startswith(its_before) or its_before.startswith(before)) and (
        behind.endswith(its_behind) or its_behind.endswith(behind)
    )


def check_issuers(
    root: Table, sites: Mapping[str, Site], issuers: Mapping[str, IssuerSettings]
) -> None:
    """What a site signs for its own pages is no token, and a token is no session."""
    for name, site in sites.items():
        signed = site.session.issuer_settings
        if signed is None:
            continue
        for issuer in issuers.values():
            if issuer.kind != "jwt" or issuer.rules.typ != signed.rules.typ:
                continue
            both = {_of_domain(one, site.domain) for one in issuer.audiences} & {*signed.audiences}
            if both:
                root.mistakes.add(
                    full_name("sites", name, "session", "audience"),
                    f"and typ are those of {full_name('issuers', issuer.name)} too: what logs in "
                    "to XMPP would be a session of the site, or the other way round",
                )


def check_keys(root: Table, sites: Mapping[str, Site], rings: Mapping[str, Keyring]) -> None:
    """The keys of signed sessions can be read, and none is for something else at an issuer.
    `rings`: the keys of the issuers."""
    for name, site in sites.items():
        signed = site.session.issuer_settings
        if signed is None or signed.jwks is not None:
            continue
        source = "secret_file" if signed.bare else "keys"
        key = full_name("sites", name, "session", source)
        wrong: list[str] = []
        ring = key_files.load(signed, wrong.append)
        if not ring and not wrong:
            wrong.append(f"no key is in {', '.join(map(str, signed.keys))}")
        at = f"{key} "  # no issuer has a blank at the end of its name
        wrong += [words for one, words, _ in contradictions({**rings, at: ring}) if one == at]
        for words in wrong:
            root.mistakes.add(key, words)


def check_callers(
    root: Table,
    sites: Mapping[str, Site],
    clients: Mapping[str, Client],
    domains: Mapping[str, DomainSettings],
    *,
    anonymous: bool,
) -> None:
    """Who asks about cookies finds one site to be asked, and who logs users in a server."""
    if all(site.domain for site in sites.values()):  # else one has a mistake, which is said
        for name, client in clients.items():
            if "cookie" in client.may:
                key = full_name("clients", name, "domains")
                _check_cookies(root, sites, key, client.domains)
        if anonymous:
            _check_ambiguous(
                root, sites, "http.anonymous", {site.domain for site in sites.values()}
            )
    for name, client in clients.items():
        if "prebind" not in client.may or "domains" in root.mistaken:
            continue
        for domain in sorted(client.domains):
            if domain == ANY_DOMAIN:
                served, without = [*domains.values()], "no domain has a bosh_url"
            else:
                found = domains.get(domain) or domains.get(ANY_DOMAIN)
                served = [found] if found else []
                without = f"{full_name('domains', domain)} has no bosh_url"
            if served and not any(one.bosh for one in served):
                root.mistakes.add(full_name("clients", name, "may"), f'"prebind": {without}')


def _check_cookies(
    root: Table, sites: Mapping[str, Site], key: str, domains: frozenset[str]
) -> None:
    named = domains - {ANY_DOMAIN}
    for domain in sorted(named):
        if not sites_of_domain(sites.values(), domain):
            words = f'"{domain}" has no site whose cookies tell who it is (may: "cookie")'
            root.mistakes.add(key, words)
    everywhere = ANY_DOMAIN in domains
    if everywhere and not any(site.session.of_cookies for site in sites.values()):
        root.mistakes.add(key, 'there is no site whose cookies tell who it is (may: "cookie")')
    of_sites = {site.domain for site in sites.values()}
    _check_ambiguous(root, sites, key, of_sites if everywhere else named)


def _check_ambiguous(
    root: Table, sites: Mapping[str, Site], key: str, domains: set[str] | frozenset[str]
) -> None:
    for domain in sorted(domains):
        found = [site.name for site in sites_of_domain(sites.values(), domain)]
        if len(found) > 1:
            words = f'"{domain}" has several sites that could be asked about a cookie: '
            root.mistakes.add(key, words + ", ".join(found))


def _of_domain(audience: str, domain: str) -> str:
    return audience.replace("{domain}", domain)
