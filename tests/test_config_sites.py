"""The configuration of sites, of what browsers and their servers ask, and of where users are logged
in for a page: what fits together."""

from __future__ import annotations

import pytest

from authbridge import config
from authbridge.settings import ConfigurationError
from tests.issuers.folders import SECRETS, pem, write
from tests.test_config_tokens import folder

__all__ = ["folder"]  # a fixture

SESSION = '{ kind = "forward", url = "https://www.example.org/whoami", cookie = "sessionid" }'
HEADER = '{ kind = "header", secret_file = "proxy", peers = ["127.0.0.1"] }'
OTHER_HEADER = HEADER.replace("proxy", "other-proxy")
GOOD = f"""
[listen]
http = ["tcp:9281:interface=127.0.0.1"]
web = ["tcp:9282:interface=127.0.0.1"]
[clients.prosody]
secret_file = "client"
may = ["check_password", "cookie"]
domains = ["example.org"]
[clients.website]
secret_file = "client"
may = ["prebind"]
domains = ["example.org"]
[domains."example.org"]
check = ["tokens", "local"]
bosh_url = "https://xmpp.example.org:5281/http-bind"
[checkers.tokens]
kind = "token"
accept = ["temporary"]
[checkers.local]
kind = "file"
path = "users"
[sites.www]
hosts = ["www.example.org"]
domain = "example.org"
session = {SESSION}
"""
OTHER = '[domains."example.net"]\ncheck = ["local"]\n'


@pytest.fixture(autouse=True)
def secrets(folder):
    write(folder / "client", b"down-the-hole")
    write(folder / "proxy", b"a-secret-of-the-proxy")
    write(folder / "other-proxy", b"a-secret-of-another-proxy")
    write(folder / "secret", SECRETS[0])
    write(folder / "forum.pem", pem("forum"))


def load(folder, text, **how):
    path = folder / "authbridge.toml"
    path.write_text(text)
    return config.load(path, **how)


def mistakes(folder, *changes, more="", **how):
    """Those of GOOD with some of it changed."""
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    try:
        load(folder, text + more, **how)
    except ConfigurationError as error:
        return list(error.mistakes)
    return []


def one_mistake(folder, *changes, **more):
    (line,) = mistakes(folder, *changes, **more)
    return line


STAR = '[domains."*"]\ncheck = ["tokens"]\nexists = "always"\n'
APART = ("[sites.www]\n", '[sites.www]\njid = "www-{user}"\n')
"""Its users are none of another site's."""


def site(name, host, domain="example.org", session=SESSION, more=None):
    """One more, with users of its own unless `more` says otherwise."""
    more = f'jid = "{name}-{{user}}"\n' if more is None else more
    told = f'hosts = ["{host}"]\ndomain = "{domain}"\nsession = {session}\n'
    return f"[sites.{name}]\n{more}{told}"


# --- good ones ------------------------------------------------------------------------------------


def test_a_good_configuration_is_composed(folder):
    read = load(folder, GOOD)
    assert [listener.text for listener in read.listen_web] == ["tcp:9282:interface=127.0.0.1"]
    assert (read.web.deadline, read.web.connections, read.web.peer_connections) == (8.0, None, None)
    assert read.sites.keys() == {"www"}
    assert read.sites["www"].domain == "example.org"
    assert read.domains["example.org"].bosh.url == "https://xmpp.example.org:5281/http-bind"
    assert read.clients["website"].grant.max_lifetime == 60.0
    assert "down-the-hole" not in repr(read)


def test_browsers_may_be_all_that_calls(folder):
    assert mistakes(folder, ('http = ["tcp:9281:interface=127.0.0.1"]\n', "")) == []


def test_sites_may_be_there_without_a_listener_for_browsers(folder):
    """For /auth/cookie alone."""
    assert mistakes(folder, ('web = ["tcp:9282:interface=127.0.0.1"]\n', "")) == []


def test_pages_have_the_daemons_deadline_or_their_own(folder):
    read = load(folder, '[authbridge]\ndeadline = "5s"\n' + GOOD)
    assert (read.deadline, read.web.deadline, read.http.deadline) == (5, 5, 5)
    read = load(folder, GOOD + '[web]\ndeadline = "3s"\nconnections = 7\npeer_connections = 7\n')
    assert (read.web.deadline, read.http.deadline) == (3, 8)
    assert (read.web.connections, read.web.peer_connections) == (7, 7)


def test_a_command_that_does_not_listen_reads_no_sites(folder):
    broken = GOOD.replace('hosts = ["www.example.org"]', "hosts = 3").replace('"tcp:9282', '"tpc')
    assert load(folder, broken, listens=False).sites == {}


# --- listeners ------------------------------------------------------------------------------------


def test_a_configuration_that_serves_nobody_is_a_mistake(folder):
    listen = GOOD[GOOD.index("http =") : GOOD.index("[clients.prosody]")]
    assert one_mistake(folder, (listen, "")) == (
        'listen: nothing listens; give extauth = ["unix:…"], http or web = ["tcp:…"]'
    )


def test_browsers_without_a_site_are_a_mistake(folder):
    tables = GOOD[GOOD.index("[sites.www]") :]
    found = mistakes(folder, (tables, ""), (', "cookie"', ""))
    assert found == ["sites: listen.web serves nobody yet; [sites.NAME] adds a site"]
    changes = (tables, ""), (', "cookie"', ""), ("\n[listen]", "sites = 3\n[listen]")
    assert one_mistake(folder, *changes).startswith("sites: should be a table")


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("[web]\nconnections = 7\npeer_connections = 8\n",
         "web.peer_connections: is more than web.connections, 7"),
        ("[web]\nconnections = 0\n", "web.connections: should be a whole number between 1 and 10"),
        ('[web]\ndeadline = "11m"\n', "web.deadline: should be between 0.1 and 600 seconds"),
        ("[web]\nhosts = []\n", "web.hosts: there is no such setting; there is "),
        ("[wep]\n", 'wep: there is no such setting; did you mean "web"?'),
        ("[site.www]\n", 'site: there is no such setting; did you mean "sites"?'),
    ],
)  # fmt: skip
def test_a_mistake_beside_the_sites_is_one_line(folder, more, mistake):
    assert one_mistake(folder, more=more).startswith(mistake)


@pytest.mark.parametrize("elsewhere", ["extauth", "http", "control"])
def test_a_listener_of_browsers_is_nobody_elses(folder, elsewhere):
    both = 'web = ["unix:/tmp/x/s"]\n'
    listen = both + both.replace("web", elsewhere)
    if elsewhere == "http":
        change = (GOOD[GOOD.index("http =") : GOOD.index("[clients.prosody]")], listen)
    else:
        change = ('web = ["tcp:9282:interface=127.0.0.1"]\n', listen)
    more = "[extauth]\nusers = []\n" if elsewhere == "extauth" else ""
    found = mistakes(folder, change, more=more)
    assert 'listen: "unix:/tmp/x/s" is given twice' in found


# --- sites and what they name ---------------------------------------------------------------------


@pytest.mark.parametrize("host", ["www.example.org", "WWW.EXAMPLE.ORG"])
def test_a_host_is_of_one_site(folder, host):
    more = site("shop", host)
    assert one_mistake(folder, (', "cookie"', ""), APART, more=more) == (
        'sites.shop.hosts: "www.example.org" is a host of sites.www too'
    )


def test_two_sites_may_have_one_domain_and_hosts_of_their_own(folder):
    more = site("shop", "shop.example.org")
    assert mistakes(folder, (', "cookie"', ""), APART, more=more) == []


def two_sites(folder, one, other, *, domains=("example.org", "example.org"), meant=("", "")):
    """The mistakes of two sites with these templates."""
    changes = (
        (', "cookie"', ""),
        ("[sites.www]\n", f'[sites.www]\njid = "{one}"\n{meant[0]}'),
        ('domain = "example.org"\nsession', f'domain = "{domains[0]}"\nsession'),
    )
    shop = f'jid = "{other}"\n{meant[1]}'
    return mistakes(
        folder, *changes, more=STAR + site("shop", "shop.example.org", domains[1], more=shop)
    )


STRANGERS = (
    "sites.shop.jid: users of sites.www may have the same JIDs of example.org; give each site "
    'names of its own, as with "forum-{user}", or both same_users = true where a name is one '
    "person at both"
)
TEMPLATES = [
    ("{user}", "{user}", True),
    ("{user}", "web-{user}", True),
    ("web-{user}", "web-{user}", True),
    ("web-{user}", "forum-{user}", False),
    ("web-{user}", "web-forum-{user}", True),
    ("{user}-x", "{user}-y", False),
    ("{user}-x", "{user}", True),
    ("{user}-x", "{user}-a-x", True),
    ("a{user}b", "{user}b", True),
    ("a{user}b", "{user}c", False),
    ("a{user}", "{user}b", True),
    ("a{user}b", "c{user}b", False),
    ("a{user}b", "a{user}c", False),
]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("one", "other", "overlap"), TEMPLATES)
def test_of_two_sites_of_one_domain_no_user_may_be_one_of_the_other(
    folder, one, other, overlap, swapped
):
    both = (other, one) if swapped else (one, other)
    assert two_sites(folder, *both) == [STRANGERS] * overlap


@pytest.mark.parametrize(
    "meant",
    [("same_users = true\n", ""), ("", "same_users = true\n"),
     ("same_users = true\n", "same_users = false\n")],
)  # fmt: skip
def test_unless_both_say_that_they_have_the_same_users(folder, meant):
    assert two_sites(folder, "{user}", "{user}", meant=meant) == [STRANGERS]
    both = ("same_users = true\n",) * 2
    for one, other, _ in TEMPLATES:
        assert two_sites(folder, one, other, meant=both) == []


def test_users_of_other_domains_are_others(folder):
    for domains in (("example.org", "example.net"), ("example.net", "example.org")):
        assert two_sites(folder, "{user}", "{user}", domains=domains) == []
    for domains in (("example.net", "EXAMPLE.net"), ("example.net", "example.net")):
        found = two_sites(folder, "{user}", "{user}", domains=domains)
        assert found == [STRANGERS.replace(".org", ".net")]


def test_of_sites_without_a_domain_nothing_is_said_of_their_users(folder):
    more = site("shop", "shop.example.org").replace('domain = "example.org"', 'domain = "a b"')
    (line,) = mistakes(folder, (', "cookie"', ""), more=more)
    assert line.startswith("sites.shop.domain: ")
    both = ('domain = "example.org"\nsession', 'domain = "a b"\nsession')
    found = mistakes(folder, (', "cookie"', ""), both, more=more)
    assert [line.partition(":")[0] for line in found] == ["sites.www.domain", "sites.shop.domain"]


def test_each_of_three_sites_is_compared_with_each(folder):
    more = site("shop", "shop.example.org", more="") + site("forum", "forum.example.org", more="")
    found = mistakes(folder, (', "cookie"', ""), more=more)
    assert [line.partition(" may")[0] for line in found] == [
        "sites.shop.jid: users of sites.www",
        "sites.forum.jid: users of sites.www",
        "sites.forum.jid: users of sites.shop",
    ]


@pytest.mark.parametrize("secret", ["proxy", "copy"])
@pytest.mark.parametrize("domain", ["example.org", "example.net"])
def test_a_proxy_speaks_for_the_users_of_one_site(folder, secret, domain):
    write(folder / "copy", b"a-secret-of-the-proxy\n")
    changes = ((', "cookie"', ""), (SESSION, HEADER), APART)
    its = HEADER.replace('"proxy"', f'"{secret}"')
    more = STAR + site("shop", "shop.example.org", domain, session=its)
    assert one_mistake(folder, *changes, more=more) == (
        "sites.shop.session.secret_file: has the secret of sites.www, whose proxy could speak for "
        "this site's users; give each its own"
    )
    more = STAR + site("shop", "shop.example.org", domain, session=OTHER_HEADER)
    assert mistakes(folder, *changes, more=more) == []


def test_of_secrets_that_cannot_be_read_nothing_is_compared(folder):
    gone = HEADER.replace('"proxy"', '"gone"')
    more = site("shop", "shop.example.org", session=gone)
    found = mistakes(folder, (', "cookie"', ""), (SESSION, gone), APART, more=more)
    assert [line.partition(":")[0] for line in found] == [
        "sites.www.session.secret_file",
        "sites.shop.session.secret_file",
    ]


def test_the_domain_of_a_site_is_served(folder):
    found = mistakes(folder, (', "cookie"', ""), ('domain = "example.org"', 'domain = "other.org"'))
    assert [line.partition(":")[0] for line in found] == ["sites.www.domain"]
    assert '"other.org" is not served' in found[0]


def test_or_as_any_other_is(folder):
    text = GOOD.replace('domain = "example.org"', 'domain = "other.org"').replace(', "cookie"', "")
    text = text.replace('[domains."example.org"]', '[domains."*"]')
    assert load(folder, text).sites["www"].domain == "other.org"


def test_a_domain_of_a_site_accepts_temporary_tokens(folder):
    more = OTHER + site("shop", "shop.example.org", "example.net")
    line = one_mistake(folder, more=more)
    assert line.startswith('sites.shop.domain: "example.net": no checker of kind "token" is in dom')
    found = mistakes(folder, ('accept = ["temporary"]', 'accept = ["compact"]'), more=(
        '[issuers.forum]\nkind = "compact"\nsecret_file = "secret"\ndomains = ["example.org"]\n'
    ))  # fmt: skip
    said = 'no checker of kind "token" accepts "temporary"'
    assert found == [
        f'clients.website.may: "prebind": {said}',
        f'sites.www.domain: "example.org": {said}',
    ]


def test_of_a_domain_or_a_checker_with_a_mistake_nothing_follows(folder):
    assert one_mistake(folder, ('kind = "token"', 'kind = "tokn"')).startswith("checkers.tokens")
    found = mistakes(folder, ('"example.org"]\ncheck', '"exa mple"]\ncheck'))
    assert not any(line.startswith("sites") for line in found)


def test_a_site_with_a_mistake_is_said_to_have_that_alone(folder):
    for old, new, mistake in (
        ('domain = "example.org"\n', "", "sites.www.domain: is missing"),
        ('domain = "example.org"', 'domain = "a b"', "sites.www.domain: the domain is not a host"),
        ('kind = "forward"', 'kind = "forwrad"', "sites.www.session.kind: there is no kind"),
    ):
        assert one_mistake(folder, (', "cookie"', ""), (old, new)).startswith(mistake)


# --- /auth/cookie ---------------------------------------------------------------------------------


def test_who_asks_about_cookies_has_a_site_to_be_asked(folder):
    header = mistakes(folder, (SESSION, HEADER))
    said = '"example.org" has no site whose cookies tell who it is (may: "cookie")'
    assert header == [f"clients.prosody.domains: {said}"]
    domains = '"cookie"]\ndomains = ["example.org"'
    named = (domains, f'{domains}, "example.net"')
    assert one_mistake(folder, named, more=OTHER) == (
        f"clients.prosody.domains: {said.replace('.org', '.net')}"
    )


EVERYWHERE = ('"cookie"]\ndomains = ["example.org"]', '"cookie"]\ndomains = ["*"]')


def test_or_any_at_all(folder):
    assert mistakes(folder, EVERYWHERE, more=OTHER) == []
    assert one_mistake(folder, EVERYWHERE, (SESSION, HEADER)) == (
        'clients.prosody.domains: there is no site whose cookies tell who it is (may: "cookie")'
    )


@pytest.mark.parametrize("changes", [(), (EVERYWHERE,)])
def test_and_not_two_of_them(folder, changes):
    changes = (*changes, APART)
    assert one_mistake(folder, *changes, more=site("shop", "shop.example.org")) == (
        'clients.prosody.domains: "example.org" has several sites that could be asked about a '
        "cookie: www, shop"
    )
    by_header = site("intranet", "intranet", session=HEADER)
    assert mistakes(folder, *changes, more=by_header) == []


def test_nor_where_anybody_may_ask(folder):
    changes = ((', "cookie"', ""), APART)
    anonymous = "[http]\nanonymous = true\n"
    assert mistakes(folder, *changes, more=anonymous) == []
    found = mistakes(folder, *changes, more=anonymous + site("shop", "shop.example.org"))
    assert found == [
        'http.anonymous: "example.org" has several sites that could be asked about a cookie: '
        "www, shop"
    ]


def test_who_is_known_by_an_address_may_ask_too(folder):
    peers = ('secret_file = "client"\nmay = ["check_password", "cookie"]',
             'peers = ["127.0.0.1"]\nmay = ["cookie"]')  # fmt: skip
    assert mistakes(folder, peers) == []


# --- /prebind -------------------------------------------------------------------------------------


def test_who_logs_users_in_has_a_server_for_them(folder):
    url = 'bosh_url = "https://xmpp.example.org:5281/http-bind"\n'
    assert one_mistake(folder, (url, "")) == (
        'clients.website.may: "prebind": domains."example.org" has no bosh_url'
    )
    both = ('["prebind"]\ndomains = ["example.org"]',
            '["prebind"]\ndomains = ["example.org", "example.net"]')  # fmt: skip
    assert one_mistake(folder, both, more=OTHER) == (
        'clients.website.may: "prebind": domains."example.net" has no bosh_url'
    )


ANY = ('["prebind"]\ndomains = ["example.org"]', '["prebind"]\ndomains = ["*"]')


def test_or_for_some(folder):
    assert mistakes(folder, ANY, more=OTHER) == []


@pytest.mark.parametrize("star", ["", '[domains."*"]\ncheck = ["local"]\n'])
def test_and_not_for_nobody(folder, star):
    url = 'bosh_url = "https://xmpp.example.org:5281/http-bind"\n'
    assert one_mistake(folder, ANY, (url, ""), more=star) == (
        'clients.website.may: "prebind": no domain has a bosh_url'
    )


def test_some_and_all_others_are_looked_at_each(folder):
    both = ('["prebind"]\ndomains = ["example.org"]',
            '["prebind"]\ndomains = ["*", "example.net", "example.org"]')  # fmt: skip
    assert one_mistake(folder, both, more=OTHER) == (
        'clients.website.may: "prebind": domains."example.net" has no bosh_url'
    )


def test_a_mistake_in_the_server_is_one_line(folder):
    line = one_mistake(folder, ("https://xmpp", "http://xmpp"))
    assert line.startswith('domains."example.org".bosh_url: ')
    assert line.endswith("; bosh_insecure_clear_text = true allows it")
    line = one_mistake(folder, ('url = "https://www', 'url = "http://www'))
    assert line.startswith("sites.www.session.url: it should begin with https://")
    assert line.endswith("; insecure_clear_text = true allows it")
    line = one_mistake(folder, ('bosh_url = "https', 'bosh_ur = "https'), ('["prebind"]', "[]"))
    assert 'bosh_ur: there is no such setting; did you mean "bosh_url"?' in line


def test_who_logs_users_in_has_a_secret(folder):
    peers = ('secret_file = "client"\nmay = ["prebind"]', 'peers = ["::1"]\nmay = ["prebind"]')
    assert one_mistake(folder, peers) == (
        'clients.website.peers: "prebind" needs a secret_file; '
        "peers are for basic, cookie, json and oauth"
    )


# --- signed cookies beside signed tokens ----------------------------------------------------------


SIGNED = (
    '{ kind = "jwt-cookie", cookie = "chat", issuer = "https://forum.example.org", '
    'audience = "xmpp:example.org", typ = "session+jwt", algorithms = ["ES256"], '
    'keys = ["forum.pem"] }'
)
ISSUER = """
[issuers."https://www.example.org"]
keys = ["www.pem"]
algorithms = ["ES256"]
domains = ["example.org"]
"""
SHOP = '[issuers.shop]\nkind = "compact"\nsecret_file = "secret"\ndomains = ["example.org"]\n'
BY_SECRET = SIGNED.replace('keys = ["forum.pem"]', 'secret_file = "secret"').replace("ES", "HS")
ACCEPT = ('accept = ["temporary"]', 'accept = ["temporary", "jwt"]')


def test_a_signed_cookie_is_of_a_kind_of_its_own(folder):
    assert mistakes(folder, ACCEPT, (SESSION, SIGNED), more=ISSUER) == []


@pytest.mark.parametrize(
    "more",
    ['typ = "session+jwt"\n', 'typ = "application/Session+JWT"\n',
     'typ = "session+jwt"\naudience = "xmpp:{domain}"\n',
     'typ = "session+jwt"\naudience = ["https://x.example", "xmpp:example.org"]\n'],
)  # fmt: skip
def test_what_logs_in_to_xmpp_is_no_cookie_and_the_other_way_round(folder, more):
    assert one_mistake(folder, ACCEPT, (SESSION, SIGNED), more=ISSUER + more) == (
        'sites.www.session.audience: and typ are those of issuers."https://www.example.org" too: '
        "what logs in to XMPP would be a session of the site, or the other way round"
    )


@pytest.mark.parametrize(
    "more",
    ['typ = "session+jwt"\naudience = "https://x.example"\n', 'audience = "xmpp:example.org"\n',
     'typ = "chat+jwt"\n'],
)  # fmt: skip
def test_one_of_the_two_keeps_them_apart(folder, more):
    assert mistakes(folder, ACCEPT, (SESSION, SIGNED), more=ISSUER + more) == []


def test_issuers_of_other_kinds_are_apart_by_themselves(folder):
    accept = ('accept = ["temporary"]', 'accept = ["temporary", "compact"]')
    assert mistakes(folder, accept, (SESSION, SIGNED), more=SHOP) == []


def test_a_key_has_one_use_with_cookies_and_tokens_together(folder):
    accept = ('accept = ["temporary"]', 'accept = ["temporary", "compact"]')
    line = one_mistake(folder, accept, (SESSION, BY_SECRET), more=SHOP)
    assert line.startswith("sites.www.session.secret_file: ")
    assert "is a key of issuers.shop too" in line
    assert mistakes(folder, (SESSION, BY_SECRET)) == []


@pytest.mark.parametrize(
    ("content", "name"), [(None, "none.pem"), (b"", "forum.pem"), (b"no key", "forum.pem")]
)
def test_keys_that_cannot_be_read_are_a_mistake(folder, content, name):
    if content is not None:
        write(folder / "forum.pem", content)
    line = one_mistake(folder, (SESSION, SIGNED.replace("forum.pem", name)))
    assert line.startswith("sites.www.session.keys: ")


def test_an_empty_folder_of_keys_is_a_mistake(folder):
    (folder / "keys").mkdir()
    line = one_mistake(folder, (SESSION, SIGNED.replace("forum.pem", "keys")))
    assert line.startswith("sites.www.session.keys: no key is in ")


def test_keys_that_are_fetched_are_not_looked_at(folder):
    url = 'jwks_url = "https://forum.example.org/jwks.json"'
    signed = SIGNED.replace('keys = ["forum.pem"]', url)
    assert mistakes(folder, (SESSION, signed)) == []


def test_of_a_signed_cookie_with_a_mistake_nothing_follows(folder):
    signed = SIGNED.replace('algorithms = ["ES256"]', 'algorithms = ["ES265"]')
    line = one_mistake(folder, (SESSION, signed))
    assert line.startswith("sites.www.session.algorithms: ")
