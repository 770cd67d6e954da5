"""Logins for pages: with a token of their own, at the domain's server; and the settings of it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from authbridge import model
from authbridge.issuers.issuers import KeysUnavailable
from authbridge.logins import Login
from authbridge.model import JID, Reason, Verdict
from authbridge.outbound.bosh import BoshRefused, BoshServer, BoshUnreachable
from authbridge.prebind import (
    ABANDONED,
    PREBIND_DONE,
    TTL,
    BoshSettings,
    Prebind,
    outcome_of,
)
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from authbridge.stores.ledger import StoreUnavailable
from authbridge.token_office.grants import Grant, Issued, Refusal, Wanted
from authbridge.troubles import QUIET, SETTLED
from tests.doubles import now
from tests.frontends.offices import ScriptedOffice
from tests.frontends.pages import ScriptedBosh
from tests.system.pki import make_pki

GRANT = Grant("website", frozenset({"*"}), None, 3600.0, 1, None)
ALICE = JID("alice", "example.org")
ISSUED = Issued(ALICE, Secret(b"abtt1_secret"), "0" * 32, 1_800_000_000, 1)


class Place:
    """One that has an office and a server for each domain."""

    def __init__(self, answer=ISSUED, bosh=None, *domains):
        self.office = ScriptedOffice(answer)
        self.bosh = bosh or ScriptedBosh()
        self.clock = Clock()
        self.prebind = Prebind(
            self.office,
            dict.fromkeys(domains or ("example.org",), self.bosh),
            self.clock.seconds,
        )
        self.login = Login("http", "prebind", 0.0, None, "boot-7", "website", "")

    def log_in(self, jid="alice@example.org", resource=None, grant=GRANT):
        return self.prebind.log_in(grant, jid, resource, self.login)


def warnings(events):
    """What the log was warned of, or told is over."""
    assert "abtt1_secret" not in repr(events)
    return [(event["log_level"].name, event["name"], event.get("words")) for event in events]


AT = f"prebind at {ScriptedBosh.url}"


def warning(words):
    return ("warn", AT, words)


# --- the login ------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", [None, "web"])
def test_a_user_is_logged_in_with_a_token_of_one_use(resource):
    place = Place()
    assert now(place.log_in("Alice@EXAMPLE.org", resource)) is place.bosh.answer
    wanted = Wanted("Alice@EXAMPLE.org", TTL)
    assert (wanted.uses, TTL) == (1, 30.0)
    assert place.office.asked == [("issue", GRANT, wanted, "http", "boot-7")]
    assert place.bosh.asked == [(ALICE, ISSUED.token, resource)]
    assert place.login.jid == ALICE
    assert place.bosh.answer.ended == 0


def test_the_token_lives_no_longer_than_who_asks_may_have_one():
    place = Place()
    now(place.log_in(grant=Grant("site:www", frozenset({"example.org"}), None, 5.0, 1, None)))
    assert place.office.asked[0][2] == Wanted("alice@example.org", 5.0)


def test_a_domain_that_is_not_named_has_the_server_of_the_star():
    place = Place(ISSUED, None, "*")
    other = place.prebind._servers = {"*": place.bosh, "example.net": ScriptedBosh()}
    now(place.log_in())
    assert len(place.bosh.asked) == 1
    assert other["example.net"].asked == []


def test_without_a_server_nothing_is_issued():
    place = Place(ISSUED, None, "example.net")
    with pytest.raises(Refusal) as raised:
        now(place.log_in("alice@Example.ORG"))
    assert raised.value.reason is Reason.NOT_SUPPORTED
    assert raised.value.words == "example.org has no `bosh_url`"
    assert place.office.asked == []
    assert place.login.jid == ALICE  # for the line


@pytest.mark.parametrize(
    "jid", ["alice", "a b@example.org", "alice@a..b", "", "\ud800@example.org"]
)
def test_what_is_no_jid_is_the_offices_to_refuse(jid):
    """Which says so, and has its line."""
    place = Place(Refusal(Reason.USER_MALFORMED, "`jid` is no user@domain"))
    with pytest.raises(Refusal):
        now(place.log_in(jid))
    assert place.office.asked == [("issue", GRANT, Wanted(jid, TTL), "http", "boot-7")]
    assert (place.login.jid, place.bosh.asked) == (None, [])


@pytest.mark.parametrize("error", [Refusal(Reason.TOKEN_NEVER, "no"), StoreUnavailable("was lost")])
def test_without_a_token_nobody_is_logged_in(error, events):
    place = Place(error)
    with pytest.raises(type(error)):
        now(place.log_in())
    assert (place.bosh.asked, warnings(events)) == ([], [])


def test_who_cancels_while_the_token_is_made_asks_no_server():
    place = Place(Deferred())
    login = Deferred.fromCoroutine(place.log_in())
    login.addErrback(lambda _: None)
    login.cancel()
    assert place.bosh.asked == []


def test_who_cancels_the_login_cancels_it_at_the_server():
    place = Place(bosh=ScriptedBosh(Deferred()))
    login = Deferred.fromCoroutine(place.log_in())
    login.addErrback(lambda _: None)
    login.cancel()
    assert place.bosh.cancelled == 1


def test_at_a_stop_all_servers_are_waited_for():
    place = Place(ISSUED, None, "example.org", "*")
    now(place.prebind.ended())
    assert place.bosh.waited_for == 2


# --- what the log is told -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BoshRefused, BoshUnreachable])
def test_a_trouble_of_a_server_is_told_once_a_minute(kind, events):
    place = Place(bosh=ScriptedBosh(kind("not-authorized")))
    for seconds in (0, QUIET - 1, 1, QUIET - 0.5, 0.5):
        place.clock.advance(seconds)
        with pytest.raises(kind):
            now(place.log_in())
    assert QUIET == 60.0
    assert warnings(events) == [warning("not-authorized")] * 3


def test_another_trouble_is_told_no_sooner(events):
    place = Place()
    for words in ("down", "not-authorized", "not-authorized", "down"):
        place.bosh.answer = BoshUnreachable(words)
        with pytest.raises(BoshUnreachable):
            now(place.log_in())
    assert warnings(events) == [warning("down")]


def test_that_it_is_over_is_told_too(events):
    place = Place(bosh=ScriptedBosh(BoshUnreachable("down")))
    with pytest.raises(BoshUnreachable):
        now(place.log_in())
    place.bosh.answer = ScriptedBosh().answer
    now(place.log_in())
    assert warnings(events) == [warning("down")]
    place.clock.advance(SETTLED)
    for _ in range(2):
        now(place.log_in())
    assert warnings(events) == [warning("down"), ("info", AT, None)]


@pytest.mark.parametrize("another", [True, False])
def test_each_server_has_its_own_trouble_whatever_the_domain(events, another):
    """Of the domains that "*" stands for, whoever asks could name any number."""
    place = Place(ISSUED, ScriptedBosh(BoshUnreachable("down")), "example.org", "*")
    if another:
        other = ScriptedBosh(BoshUnreachable("down"))
        other.url = "https://xmpp.example.net:5281/http-bind"
        place.prebind._servers["*"] = other
    for domain in ("example.org", "example.net", "example.org"):
        issued = Issued(JID("alice", domain), ISSUED.token, ISSUED.id, ISSUED.expires_at, 1)
        place.office.answer = issued
        with pytest.raises(BoshUnreachable):
            now(place.log_in(f"alice@{domain}"))
    others = [("warn", "prebind at https://xmpp.example.net:5281/http-bind", "down")]
    assert warnings(events) == [warning("down"), *(others if another else [])]


def test_a_trouble_that_is_there_from_the_start_is_told(events):
    """The clock may begin anywhere, and so at nothing."""
    place = Place(bosh=ScriptedBosh(BoshUnreachable("down")))
    assert place.clock.seconds() == 0
    with pytest.raises(BoshUnreachable):
        now(place.log_in())
    assert warnings(events) == [warning("down")]


@pytest.mark.parametrize(
    ("error", "verdict", "reason"),
    [
        (Refusal(Reason.TOKEN_NEVER, "no"), Verdict.REJECTED, Reason.TOKEN_NEVER),
        (Refusal(Reason.NOT_SUPPORTED, "no"), Verdict.REJECTED, Reason.NOT_SUPPORTED),
        (StoreUnavailable("was lost"), Verdict.UNAVAILABLE, Reason.STATE_UNAVAILABLE),
        (BoshRefused("not-authorized"), Verdict.UNAVAILABLE, Reason.BOSH_REFUSED),
        (BoshUnreachable("down"), Verdict.UNAVAILABLE, Reason.BOSH_UNREACHABLE),
    ],
)
def test_what_came_of_it_says_why(error, verdict, reason):
    assert outcome_of(error) == model.Outcome(verdict, reason)


def test_any_other_error_is_none_of_a_login():
    with pytest.raises(AssertionError):
        outcome_of(KeysUnavailable("are being fetched", Deferred))


def test_who_is_gone_was_not_let_in():
    assert (PREBIND_DONE.verdict, PREBIND_DONE.reason) == (Verdict.ACCEPTED, Reason.PREBIND_DONE)
    assert (ABANDONED.verdict, ABANDONED.reason) == (Verdict.REJECTED, Reason.PREBIND_ABANDONED)


# --- [domains.*] bosh_… ---------------------------------------------------------------------------


def read(tmp_path, **data):
    mistakes = Mistakes()
    table = Table(data, 'domains."example.org"', mistakes, tmp_path)
    settings = BoshSettings.read(table)
    table.close()
    return settings, [line.removeprefix('domains."example.org".') for line in mistakes]


def test_without_a_url_there_is_no_server(tmp_path):
    assert read(tmp_path) == (None, [])


@pytest.mark.parametrize(
    "url",
    ["https://xmpp.example.org:5281/http-bind", "https://xmpp.example.org/",
     "http://127.0.0.1:5280/http-bind", "http://127.8.8.8:5280/http-bind",
     "http://localhost:5280/http-bind"],
)  # fmt: skip
def test_a_server_is_called_with_tls_or_on_this_machine(tmp_path, url):
    assert read(tmp_path, bosh_url=url) == (BoshSettings(url), [])


@pytest.mark.parametrize("host", ["xmpp.example.org", "10.0.0.1", "localhost.example.org"])
def test_another_machine_is_called_in_clear_text_where_somebody_wants_it_so(tmp_path, host):
    url = f"http://{host}:5280/http-bind"
    for given in ({}, {"bosh_insecure_clear_text": False}):
        _, (mistake,) = read(tmp_path, bosh_url=url, **given)
        assert mistake.startswith("bosh_url: it should begin with https://")
        assert mistake.endswith("; bosh_insecure_clear_text = true allows it")
    assert read(tmp_path, bosh_url=url, bosh_insecure_clear_text=True) == (BoshSettings(url), [])


def test_the_authorities_are_those_of_a_file_or_of_the_system(tmp_path):
    pki = make_pki(tmp_path / "pki", ["xmpp.example.org"])
    url = "https://xmpp.example.org:5281/http-bind"
    settings, mistakes = read(tmp_path, bosh_url=url, bosh_ca_file="pki/ca.pem")
    assert (mistakes, settings) == ([], BoshSettings(url, tmp_path / "pki" / "ca.pem"))
    assert pki.ca == settings.ca_file
    for one in (settings, BoshSettings(url), BoshSettings("http://127.0.0.1:5280/http-bind")):
        server = one.make(MemoryReactorClock(), lambda count: b"\0" * count)
        assert isinstance(server, BoshServer)
        server.close()


HTTPS, HTTP = "https://x.example/b", "http://127.0.0.1:5280/b"


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        ({"bosh_url": ""}, "bosh_url: should be a string"),
        ({"bosh_url": 5280}, "bosh_url: should be a string"),
        ({"bosh_url": "xmpp.example.org:5280/http-bind"}, "bosh_url: "),
        ({"bosh_url": "ws://127.0.0.1:5280/ws"}, "bosh_url: "),
        ({"bosh_url": "https://"}, "bosh_url: "),
        ({"bosh_url": "https://alice:wonderland@x.example/"}, "bosh_url: "),
        ({"bosh_url": "https://x.example/b#c"}, "bosh_url: "),
        ({"bosh_url": HTTPS, "bosh_ca_file": "none.pem"}, "bosh_ca_file: "),
        ({"bosh_url": HTTP, "bosh_ca_file": "pki/ca.pem"},
         "bosh_ca_file: is about TLS, and bosh_url begins with http:"),
        ({"bosh_url": HTTP, "bosh_ca_file": "none.pem"},
         "bosh_ca_file: is about TLS, and bosh_url begins with http:"),
        ({"bosh_url": HTTPS, "bosh_insecure_clear_text": True},
         "bosh_insecure_clear_text: and bosh_url has TLS: leave it out"),
        ({"bosh_url": HTTP, "bosh_insecure_clear_text": "yes"},
         "bosh_insecure_clear_text: should be true or false"),
        ({"bosh_ca_file": "ca.pem"}, "bosh_ca_file: is about bosh_url, which is not given"),
        ({"bosh_insecure_clear_text": True},
         "bosh_insecure_clear_text: is about bosh_url, which is not given"),
        ({"bosh_ur": HTTPS}, 'bosh_ur: there is no such setting; did you mean "bosh_url"?'),
        ({"bosh_uri": HTTPS}, 'bosh_uri: there is no such setting; did you mean "bosh_url"?'),
        ({"bosh_url": HTTPS, "bosh_ca": "x"}, "bosh_ca: there is no such setting; did you mean "),
    ],
)  # fmt: skip
def test_a_mistake_in_it_is_one_line(tmp_path, data, mistake):
    make_pki(tmp_path / "pki", ["x.example"])
    _, (line,) = read(tmp_path, **data)
    assert line.startswith(mistake)
    assert "wonderland" not in line
    assert "allows it" not in line  # which helps nobody whose URL is none


# --- too many -------------------------------------------------------------------------------------

LIMITED = Grant("website", frozenset({"*"}), None, 3600.0, 1, (1000, 1.0))


def test_of_one_user_a_client_gets_thirty_a_minute_and_of_another_as_many():
    place = Place()
    for _ in range(30):
        now(place.log_in(grant=LIMITED))
    with pytest.raises(Refusal) as no:
        now(place.log_in(grant=LIMITED))
    assert (no.value.reason, no.value.retry_after) == (Reason.RATE_EXCEEDED, 2.0)
    assert place.login.jid == ALICE
    assert len(place.bosh.asked) == 30
    now(place.log_in("bob@example.org", grant=LIMITED))
    place.clock.advance(2)
    now(place.log_in(grant=LIMITED))


def test_an_outage_of_the_state_is_nobodys_haste():
    place = Place(StoreUnavailable("was lost"))
    for _ in range(40):
        with pytest.raises(StoreUnavailable):
            now(place.log_in(grant=LIMITED))
    place.office.answer = ISSUED
    for _ in range(30):
        now(place.log_in(grant=LIMITED))
    with pytest.raises(Refusal):
        now(place.log_in(grant=LIMITED))


def test_a_site_has_a_rate_of_its_own():
    place = Place()
    for _ in range(40):
        now(place.log_in())
    assert len(place.bosh.asked) == 40


def test_who_may_not_be_asked_about_is_not_counted():
    place = Place(Refusal(Reason.CALLER_NOT_ALLOWED, "not yours"))
    other = Grant("website", frozenset({"example.net"}), None, 3600.0, 1, (1000, 1.0))
    for _ in range(40):
        with pytest.raises(Refusal, match="caller_not_allowed"):
            now(place.log_in(grant=other))
