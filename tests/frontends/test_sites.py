"""[sites.NAME]: hosts, origins, and how a user's JID is made of the site's name for him."""

from __future__ import annotations

import pytest

from authbridge import preparation
from authbridge.frontends.sites import Site, sites_of_domain
from authbridge.model import JID
from authbridge.settings import Mistakes, Table

SESSION = {"kind": "forward", "url": "https://www.example.org/whoami", "cookie": "sessionid"}
GOOD = {"hosts": ["www.example.org"], "domain": "chat.example.org", "session": SESSION}


def read(tmp_path, name="www", **changes):
    """The site, and the mistakes in it; None takes a setting away."""
    mistakes = Mistakes()
    data = {key: value for key, value in (GOOD | changes).items() if value is not None}
    site = Site.read(name, Table(data, f"sites.{name}", mistakes, tmp_path))
    return site, list(mistakes)


def test_a_site_is_its_hosts_its_domain_and_its_session(tmp_path):
    site, mistakes = read(tmp_path)
    assert mistakes == []
    assert (site.name, site.hosts, site.origins) == ("www", ("www.example.org",), frozenset())
    assert (site.domain, site.jid, site.ignore_case) == ("chat.example.org", ("", ""), False)
    assert (site.token_ttl, site.rate) == (60.0, (30, 60.0))
    assert (site.session.kind, site.session.of_cookies) == ("forward", True)


def test_or_more(tmp_path):
    site, mistakes = read(
        tmp_path,
        hosts=["WWW.Example.ORG", "10.1.2.3", "2001:DB8::1"],
        origins=["https://www.example.org", "http://localhost:8080", "https://[::1]:1"],
        domain="Chat.Example.ORG",
        jid="web-{user}.guest",
        token_ttl="90s",
        rate="5/s",
        ignore_case=True,
    )
    assert mistakes == []
    assert site.hosts == ("www.example.org", "10.1.2.3", "2001:db8::1")
    assert site.origins == {
        b"https://www.example.org",
        b"http://localhost:8080",
        b"https://[::1]:1",
    }
    assert (site.domain, site.jid) == ("chat.example.org", ("web-", ".guest"))
    assert (site.token_ttl, site.rate, site.ignore_case) == (90.0, (5, 1.0), True)


@pytest.mark.parametrize("seconds", [5, 600])
def test_a_token_lives_from_five_seconds_to_ten_minutes(tmp_path, seconds):
    assert read(tmp_path, token_ttl=seconds)[0].token_ttl == seconds


def test_it_may_have_tokens_for_its_own_domain_alone(tmp_path):
    grant = read(tmp_path, token_ttl=30)[0].grant
    assert (grant.name, grant.domains, grant.users) == ("site:www", {"chat.example.org"}, None)
    assert (grant.max_lifetime, grant.max_uses, grant.rate) == (30.0, 1, None)
    assert not grant.covers(JID("alice", "example.org"))


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"hosts": None}, "hosts: is missing"),
        ({"hosts": []}, "hosts: names none, so that no request would be this site's"),
        ({"hosts": "www.example.org"}, "hosts: should be a list of different strings"),
        ({"hosts": ["www.example.org:443"]}, 'hosts: "www.example.org:443" is no name or address,'),
        ({"hosts": ["https://www.example.org"]}, 'hosts: "https://www.example.org" is no name'),
        ({"hosts": ["*"]}, 'hosts: "*" is no name or address'),
        ({"hosts": ["*.example.org"]}, 'hosts: "*.example.org" is no name or address'),
        ({"hosts": ["münchen.example"]}, 'hosts: "münchen.example" is no name or address'),
        ({"origins": "https://www.example.org"}, "origins: should be a list of different strings"),
        ({"origins": ["*"]}, 'origins: "*" would let any page read the answers'),
        ({"origins": ["null"]}, 'origins: "null" would let any page read the answers'),
        ({"origins": ["https://www.example.org/"]},
         'origins: "https://www.example.org/" is no origin as browsers write it, https://HOST or '
         'https://HOST:PORT; did you mean "https://www.example.org"?'),
        ({"origins": ["HTTPS://WWW.example.org"]},
         'origins: "HTTPS://WWW.example.org" is no origin as browsers write it, https://HOST or '
         'https://HOST:PORT; did you mean "https://www.example.org"?'),
        ({"origins": ["www.example.org"]}, 'origins: "www.example.org" is no origin as browsers'),
        ({"origins": ["https://*.example.org"]}, 'origins: "https://*.example.org" is no origin'),
        ({"origins": ["https://www.example.org/chat"]}, 'origins: "https://www.example.org/chat"'),
        ({"origins": ["https://www.example.org:0"]}, 'origins: "https://www.example.org:0" is no'),
        ({"origins": ["ftp://www.example.org"]}, 'origins: "ftp://www.example.org" is no origin'),
        ({"origins": ["https://münchen.example"]}, 'origins: "https://münchen.example" is no ori'),
        ({"origins": ["https://www.example.org "]}, 'origins: "https://www.example.org " is no or'),
        ({"origins": ["https://www.example.org:443"]},
         'origins: "https://www.example.org:443" never comes: browsers leave :443 out'),
        ({"origins": ["http://www.example.org:80"]},
         'origins: "http://www.example.org:80" never comes: browsers leave :80 out'),
        ({"domain": None}, "domain: is missing"),
        ({"domain": ""}, "domain: should be a string"),
        ({"domain": "a b"}, "domain: the domain is not a host name"),
        ({"domain": ["example.org"]}, "domain: should be a string"),
        ({"jid": "alice"}, 'jid: should hold {user} once, as in "{user}" or "web-{user}"'),
        ({"jid": "{user}{user}"}, "jid: should hold {user} once"),
        ({"jid": "{User}"}, "jid: should hold {user} once"),
        ({"jid": "{user}-{domain}"}, "jid: should hold {user} once"),
        ({"jid": "{user}@chat.example.org"},
         "jid: is what stands before the @ in a JID; the rest is `domain`"),
        ({"jid": "web {user}"}, "jid: the user's name holds a character that a JID may not hold"),
        ({"jid": "{user}/web"}, "jid: the user's name holds a character that a JID may not hold"),
        ({"jid": ""}, "jid: "),
        ({"token_ttl": "4s"}, "token_ttl: should be between 5 and 600 seconds"),
        ({"token_ttl": "11m"}, "token_ttl: should be between 5 and 600 seconds"),
        ({"rate": "30"}, 'rate: should be tokens in a second, minute or hour, as in "20/s"'),
        ({"ignore_case": "yes"}, "ignore_case: should be true or false"),
        ({"host": ["x"]}, 'host: there is no such setting; did you mean "hosts"?'),
        ({"origin": []}, 'origin: there is no such setting; did you mean "origins"?'),
        ({"session": "forward"}, "session: should be a table: [sites.www.session]"),
        ({"session": SESSION | {"kind": "forwrad"}}, "session.kind: there is no kind"),
        ({"session": SESSION | {"cooky": "x"}}, "session.cooky: there is no such setting; did you"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_site_is_one_line(tmp_path, changes, mistake):
    _, mistakes = read(tmp_path, **changes)
    assert [line[: len(mistake) + 10] for line in mistakes] == [
        f"sites.www.{mistake}"[: len(mistake) + 10]
    ]


def test_a_template_that_xmpp_would_change_is_a_mistake(tmp_path):
    """Nobody could log in: what is prepared would never be what was spelled."""
    _, (line,) = read(tmp_path, jid="Web-{user}")
    assert line.startswith("sites.www.jid: ")


def test_a_site_without_a_session_says_so_once(tmp_path):
    _, mistakes = read(tmp_path, session=None)
    assert mistakes == ["sites.www.session: is missing: how is it known whose browser this is?"]


@pytest.mark.parametrize("name", ["a:b", "a b", "", "x" * 65, "ä"])
def test_a_name_that_a_line_of_the_log_could_not_hold_is_a_mistake(tmp_path, name):
    _, mistakes = read(tmp_path, name=name)
    assert mistakes == [f"sites.{name}: a site's name is letters, digits, dot, _ and -"]


# --- users ----------------------------------------------------------------------------------------


def user(tmp_path, name, **changes):
    site, mistakes = read(tmp_path, **changes)
    assert mistakes == []
    return site.user(name)


@pytest.mark.parametrize(
    ("name", "template", "local"),
    [
        ("alice", "{user}", "alice"),
        ("çelik", "{user}", "çelik"),
        ("alice.b_c-1", "{user}", "alice.b_c-1"),
        ("alice", "web-{user}", "web-alice"),
        ("alice", "{user}.guest", "alice.guest"),
        ("7", "user{user}", "user7"),
        ("o\\27brien", "{user}", "o\\27brien"),
    ],
)
def test_a_user_has_the_localpart_that_the_site_spells(tmp_path, name, template, local):
    assert user(tmp_path, name, jid=template) == JID(local, "chat.example.org")


UNFIT = [
    "", " ", "a b", " alice", "alice ", "alice@example.org", "alice/web", "alice:b", "a&b", "<a>",
    '"alice"', "a'b", "\0", "a\nb", "\u200e", "\ud800", "x" * 1024, "é" * 512, "\ue000",
]  # fmt: skip
ANOTHERS = ["Alice", "ALICE", "al\u00adice", "ali\u200bce", "ﬁona", "straße", "\u212aate", "ａlice"]
"""Names that XMPP takes for those of others: in capitals, with what nobody sees, or with characters
that stand for others."""


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("name", UNFIT)
def test_a_name_that_no_jid_can_have_is_none(tmp_path, name, ignore_case):
    with pytest.raises(preparation.Unprepared):
        user(tmp_path, name, ignore_case=ignore_case)


@pytest.mark.parametrize("name", ANOTHERS)
def test_a_name_that_is_anothers_to_xmpp_is_nobodys(tmp_path, name):
    with pytest.raises(preparation.Unprepared):
        user(tmp_path, name)


@pytest.mark.parametrize("name", ANOTHERS[2:])
def test_where_case_is_ignored_nothing_else_is(tmp_path, name):
    with pytest.raises(preparation.Unprepared):
        user(tmp_path, name, ignore_case=True)


@pytest.mark.parametrize(("name", "local"), [("Alice", "alice"), ("ÇELIK", "çelik"), ("a", "a")])
def test_where_case_is_ignored_all_cases_are_one_user(tmp_path, name, local):
    assert user(tmp_path, name, ignore_case=True).local == local


# --- which sites ----------------------------------------------------------------------------------


def test_the_sites_of_a_domain_are_those_whose_cookies_tell_who_it_is(tmp_path):
    (tmp_path / "secret").write_text("wonderland")
    (tmp_path / "secret").chmod(0o600)
    header = {"kind": "header", "secret_file": "secret", "peers": ["127.0.0.1"]}
    sites = {
        "www": read(tmp_path)[0],
        "intranet": read(tmp_path, "intranet", session=header)[0],
        "forum": read(tmp_path, "forum", domain="forum.example.org")[0],
        "shop": read(tmp_path, "shop")[0],
    }
    found = sites_of_domain(sites.values(), "chat.example.org")
    assert [site.name for site in found] == ["www", "shop"]
    assert sites_of_domain(sites.values(), "example.org") == []
