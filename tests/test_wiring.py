"""What is built of a configuration: where tokens are kept, and who is asked about them."""

from __future__ import annotations

import pytest
from twisted.internet.testing import MemoryReactorClock

from authbridge import config, wiring
from authbridge.model import JID, Reason, Trace, Verdict
from authbridge.outbound.bosh import BoshServer
from authbridge.prebind import Prebind
from authbridge.secret import Secret
from authbridge.stores.ledger import Ledger
from authbridge.stores.operations import StoreFault
from tests.doubles import now
from tests.test_config_tokens import DOMAIN, GOOD, LOCAL, folder

__all__ = ["folder"]  # a fixture

KEEPING = '[authbridge]\nstate = "state/kept.sqlite3"\n' + DOMAIN + LOCAL
KEEPING += '[checkers.tokens]\nkind = "token"\naccept = ["temporary"]\n'
REDIS = KEEPING.replace("state/kept.sqlite3", "redis://127.0.0.1:1/0")
TOKEN = b"abtt1_" + b"A" * 43


class Reactor(MemoryReactorClock):
    """Without threads: what another would ask for is done at once."""

    def callFromThread(self, function, *arguments):
        function(*arguments)


def build(folder, text=KEEPING, **how):
    path = folder / "authbridge.toml"
    path.write_text(text)
    return wiring.build(config.load(path, listens=False), lambda _line: None, Reactor(), **how)


class Store:
    """Cannot be opened."""

    name = "/var/lib/authbridge/state.sqlite3"

    def __init__(self, fault):
        self.fault = fault
        self.closed = 0

    def open(self):
        raise self.fault

    def close(self):
        self.closed += 1


def with_store(house, store):
    """The same house, with another store."""
    ledger = house.surroundings.ledger
    ledger._store, ledger.name = store, store.name
    return house


# --- whether there is a state ---------------------------------------------------------------------


def test_without_use_for_it_there_is_no_state(folder):
    house = build(folder, GOOD)
    assert house.surroundings.ledger is None
    assert house.office is None
    house.open_state()  # nothing to do
    house.start()
    house.stop()
    assert not any(path.suffix == ".sqlite3" for path in folder.rglob("*"))


def test_with_use_for_it_there_is_one_and_an_office(folder):
    house = build(folder)
    assert isinstance(house.surroundings.ledger, Ledger)
    assert house.office is not None
    assert not (folder / "state").exists()
    house.open_state()
    assert (folder / "state" / "kept.sqlite3").stat().st_mode & 0o777 == 0o600
    house.start()
    house.stop()


@pytest.mark.parametrize("visiting", [True, False])
def test_who_visits_takes_no_file_from_the_daemon(folder, visiting):
    house = build(folder, visiting=visiting)
    assert (house.surroundings.ledger is None) == visiting
    assert (house.office is None) == visiting
    assert build(folder, REDIS, visiting=visiting).surroundings.ledger is not None


def test_a_visitor_cannot_tell_of_temporary_tokens_nor_who_was_seen(folder):
    house = build(folder, KEEPING.replace('"local"]', '"local"]\nexists = "seen"'), visiting=True)
    checker = house.checkers["tokens"].checker
    trace = Trace()
    alice = JID("alice", "example.org")
    outcome = now(checker.check_password(alice, Secret(TOKEN), trace))
    assert outcome.reason is Reason.STATE_UNAVAILABLE
    asked = house.authenticator.user_exists("test", b"alice", b"example.org", 8.0, trace=Trace())
    assert now(asked).verdict is Verdict.UNAVAILABLE


# --- whether the daemon starts --------------------------------------------------------------------


def test_a_daemon_that_must_not_use_its_state_does_not_start(folder):
    store = Store(StoreFault("is open to others; chmod 600 mends it", refused=True))
    with pytest.raises(SystemExit) as stop:
        with_store(build(folder), store).open_state()
    assert stop.value.code == f"authbridge: state {store.name}: {store.fault.words}"


@pytest.mark.parametrize("lost", [True, False])
def test_one_that_may_be_well_in_a_moment_is_waited_for(folder, lost):
    store = Store(StoreFault("the disk is full", lost=lost))
    with_store(build(folder), store).open_state()


def test_a_server_is_waited_for_whatever_is_wrong_with_it(folder):
    """It may be the network that starts later than we do."""
    store = Store(StoreFault("has maxmemory-policy volatile-lru", refused=True))
    with_store(build(folder, REDIS), store).open_state()


def test_a_second_daemon_does_not_start_on_the_same_file(folder):
    house = build(folder)
    house.open_state()
    with pytest.raises(SystemExit) as stop:
        build(folder).open_state()
    assert "in use by another process" in str(stop.value.code)
    house.stop()
    another = build(folder)
    another.open_state()
    another.stop()


# --- kinds and users ------------------------------------------------------------------------------


def test_the_kinds_that_a_domain_accepts_are_those_of_its_checkers(folder):
    text = GOOD.replace('accept = ["jwt"]', 'accept = ["jwt", "temporary"]')
    text += '[domains."example.net"]\ncheck = ["local"]\n'
    kinds = wiring.accepted_kinds(build(folder, text).configuration)
    assert kinds("example.org") == {"jwt", "temporary"}
    assert kinds("example.net") == frozenset()
    assert kinds("example.com") is None
    assert kinds("*") is None


def test_the_others_are_served_as_the_star_is(folder):
    text = KEEPING + '[domains."*"]\ncheck = ["local"]\n'
    kinds = wiring.accepted_kinds(build(folder, text).configuration)
    assert kinds("example.org") == {"temporary"}
    assert kinds("example.com") == frozenset()


def test_who_was_seen_is_asked_where_the_domain_says_so(folder):
    text = KEEPING.replace('"local"]', '"local"]\nexists = "seen"')
    text += '[domains."example.net"]\ncheck = ["local"]\n'
    rules = build(folder, text).authenticator._domains
    assert [named.name for named in rules["example.org"].exists] == ["seen"]
    assert rules["example.org"].seen is not None
    assert [named.name for named in rules["example.net"].exists] == ["local"]
    assert rules["example.net"].seen is None


# --- browsers -------------------------------------------------------------------------------------


BOSH = 'bosh_url = "https://xmpp.example.org:5281/http-bind"\n'
SESSION = 'session = { kind = "forward", url = "https://www.example.org/whoami", cookie = "s" }\n'
SITES = (
    '[sites.www]\nhosts = ["www.example.org", "example.org"]\ndomain = "example.org"\n'
    "same_users = true\n"
    + SESSION
    + '[sites.intranet]\nhosts = ["intranet"]\ndomain = "example.org"\n'
    "same_users = true\n"
    'session = { kind = "header", secret_file = "secret", peers = ["127.0.0.1"] }\n'
)
LISTEN = '[listen]\nweb = ["tcp:9282:interface=127.0.0.1"]\n'
WITH_SITES = KEEPING.replace('"local"]\n', f'"local"]\n{BOSH}') + LISTEN + SITES


def with_sites(folder):
    path = folder / "authbridge.toml"
    path.write_text(WITH_SITES)
    return wiring.build(config.load(path), lambda _line: None, Reactor())


def test_a_site_is_served_by_all_its_hosts_with_one_session_and_one_count_of_its_users(folder):
    house = with_sites(folder)
    assert house.sessions.keys() == {"www", "intranet"}
    front_end = house.web()
    found = front_end._sites
    assert found.keys() == {"www.example.org", "example.org", "intranet"}
    assert found["www.example.org"] is found["example.org"]
    assert found["www.example.org"].session is house.sessions["www"]
    assert found["intranet"].session is house.sessions["intranet"]
    assert front_end._prebind is house.prebind
    assert front_end._logins is house.authenticator.logins  # whom a stop waits for
    house.start()
    house.stop()


def test_of_programs_cookies_are_asked_about_at_the_site_that_knows_them(folder):
    house = with_sites(folder)
    sites = house.http("machine")._cookies._sites
    assert sites.keys() == {"example.org"}
    assert sites["example.org"].name == "site:www"
    assert sites["example.org"].session is house.sessions["www"]
    house.stop()


def test_users_are_logged_in_at_the_server_of_their_domain(folder):
    house = with_sites(folder)
    assert isinstance(house.prebind, Prebind)
    assert house.bosh_servers.keys() == {"example.org"}
    assert isinstance(house.bosh_servers["example.org"], BoshServer)
    assert house.http("machine")._tokens._prebind is house.prebind
    house.stop()


def test_without_a_server_or_without_an_office_nobody_is(folder):
    assert build(folder).prebind is None
    text = KEEPING.replace('"local"]\n', f'"local"]\n{BOSH}')
    visiting = build(folder, text, visiting=True)
    assert (visiting.office, visiting.prebind) == (None, None)
    visiting.stop()
    assert build(folder, text).prebind is not None


def test_a_stop_ends_the_sessions_and_lets_the_servers_go(folder):
    house = with_sites(folder)
    ended = []

    class Told:
        def start(self):
            ended.append("started")

        stop = close = lambda self: ended.append("stopped")

    for table in (house.sessions, house.bosh_servers):
        for name in table:
            table[name] = Told()
    house.start()
    assert ended == ["started"] * 2
    house.stop()
    assert ended[2:] == ["stopped"] * 3
