"""What must not happen between two servers: a password judged twice, a dead server hammered, logins
lost in a line, or on connections that only seemed to be there.
"""

import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .calls import NO, YES, Answer, Question, storm
from .directory import ALICE, BOB, CAROL, CELIK, PEOPLE_OF_ALL_KINDS, ZOE, Account
from .fault_proxy import FaultProxies
from .faults import PASS, Fault, Hang, Instead, Mute, Ponder, Slam
from .ldap_messages import BINDS, LOGINS
from .pki import Pki
from .ports import free_port
from .test_failover import FAULTS, garbage
from .two_servers import OUTAGE, Domain, Domains, running_slapds
from .waiting import wait_until

#: Seconds without a login after which a connection is not trusted any more.
IDLE = 6.0
#: Seconds for which a server that is away is watched.
WATCHED = 7.0
#: How many log in meanwhile, and more.
LOGINS_WATCHED = 20

AWAY: Mapping[str, Fault] = {
    "slam": Slam(),
    "hang": Hang(),
    "mute": Mute(),
    "garbage": Instead(garbage),
    "garbage-binds": Instead(garbage, BINDS),
}
#: Under way at once are 128 searches, or 16 binds: many more have to wait in line.
CROWDED: Mapping[str, Fault] = {
    "mute": Mute(LOGINS),
    "mute-binds": Mute(BINDS),
    "garbage-binds": Instead(garbage, BINDS),
}
#: How many passwords of a crowd may be lost: one on each connection, and twice as many later on.
MOST_SENT = 3 * 16
#: The domains whose connections a firewall forgets, and who logs in there.
FORGOTTEN: Mapping[str, tuple[Account, Account]] = {
    "forgotten.pair": (ALICE, BOB),
    "forgotten.alone": (ZOE, CAROL),
}
#: What makes replies into others.
MANGLING = ("reset", "garbage", "wrong-id", "wrong-tag")


@pytest.fixture(scope="module")
def domains(workspace: Path, directory_pki: Pki) -> Iterator[Mapping[str, Domain]]:
    """All of them, in a daemon that runs."""
    folder = workspace / "failover-servers"
    nobody = f"ldaps://127.0.0.1:{free_port()}"
    with running_slapds(folder, directory_pki) as slapds, FaultProxies() as proxies:
        new = Domains(folder / "daemon", slapds, directory_pki, proxies)
        second = slapds.second.tls_url
        for name in ("once", "forgotten", *AWAY):
            new.add(f"{name}.pair", new.proxy(), second)
        new.add("twice.pair", new.proxy(), second, second_server_after_bind=True)
        for name in CROWDED:
            new.add(f"{name}.crowd", new.proxy(), second)
        for name in ("forgotten", "storm"):
            new.add(f"{name}.alone", new.proxy(), nobody)
        new.add("ponder.example", new.proxy(), new.proxy(second=True))
        new.add("three.example", new.proxy(), new.proxy(), second)
        daemon, by_name = new.daemon()
        daemon.start()
        try:
            yield by_name
        finally:
            daemon.stop()


@pytest.fixture(scope="module")
def forgotten(domains: Mapping[str, Domain]) -> float:
    """When nothing passed any more on the connections of FORGOTTEN."""
    for name, people in FORGOTTEN.items():
        assert domains[name].at_once(*people) == (YES, NO)
        domains[name].proxy.forget()
    return time.monotonic()


@pytest.fixture(autouse=True)
def well_again(domains: Mapping[str, Domain]) -> Iterator[None]:
    """No test leaves a fault to the next."""
    yield
    for domain in domains.values():
        for proxy in domain.proxies:
            proxy.do(PASS)


def test_password_that_was_sent_and_not_answered_is_sent_nowhere_else(
    domains: Mapping[str, Domain],
) -> None:
    """A second server might count a wrong one again, and nobody knows that it is right."""
    domain = domains["once.pair"]
    domain.proxy.do(Mute(BINDS))
    mark = domain.slapds.mark()
    assert domain.at_once(ALICE, BOB) == (OUTAGE, OUTAGE)
    assert domain.slapds.binds(mark, ALICE) == domain.slapds.binds(mark, BOB) == (1, 0)


def test_second_server_is_asked_for_it_where_that_is_wanted(domains: Mapping[str, Domain]) -> None:
    """The user does not notice, and a wrong password may count twice."""
    domain = domains["twice.pair"]
    domain.proxy.do(Mute(BINDS))
    mark = domain.slapds.mark()
    assert domain.check(ALICE, ALICE.password) == YES
    assert domain.slapds.binds(mark, ALICE) == (1, 1)


# The pause of the next test is not waited for.
@pytest.mark.usefixtures("forgotten")
def test_server_that_is_away_is_left_alone(domains: Mapping[str, Domain]) -> None:
    """However many log in, and in whatever way it is away; hardly anybody notices."""
    people = (ALICE, BOB, CAROL, CELIK, ZOE)
    watched = [domains[f"{name}.pair"] for name in AWAY]
    for domain, fault in zip(watched, AWAY.values(), strict=True):
        domain.proxy.do(fault)
    began = time.monotonic()
    outages = dict.fromkeys(AWAY, 0)

    def log_in(name: str, domain: Domain, account: Account) -> int:
        count = 0
        # A slow machine watches for longer.
        while time.monotonic() - began < WATCHED or count <= LOGINS_WATCHED:
            count += 1
            outages[name] += domain.right(account) == OUTAGE
        return count

    with ThreadPoolExecutor() as at_once:
        logins = list(at_once.map(log_in, AWAY, watched, people))
    # A server that is away for longer is tried more often: after 3 s at least.
    later = int((time.monotonic() - began - WATCHED) / 3 + 1)
    came = {
        name: [when - began for when in domain.proxy.came if when >= began]
        for name, domain in zip(AWAY, watched, strict=True)
    }
    assert min(logins) > LOGINS_WATCHED
    for name in AWAY:
        # From each of two pools: after 1, 2, 4 seconds, and up to a quarter less.
        assert len(came[name]) <= 2 * (4 + later), (name, came[name])
        assert sum(when > WATCHED / 2 for when in came[name]) <= 2 * (1 + later), (name, came[name])
        # Whoever is the first when it is given another chance.
        assert outages[name] <= (5 if name == "garbage-binds" else 0), (name, outages[name])


def test_connections_that_a_firewall_has_forgotten_lose_no_login(
    domains: Mapping[str, Domain], forgotten: float
) -> None:
    """After a pause, that is: nothing is sent on them before they are known to be there."""
    wait_until(lambda: time.monotonic() - forgotten > IDLE, "a pause")

    def try_with(name: str) -> None:
        domain, both = domains[name], FORGOTTEN[name]
        mark, sent = domain.slapds.mark(), len(domain.proxy.user_binds())
        assert domain.at_once(*both) == (YES, NO)
        assert [domain.slapds.binds(mark, one) for one in both] == [(1, 0), (1, 0)]
        assert sorted(domain.proxy.user_binds()[sent:]) == sorted(one.dn for one in both)

    with ThreadPoolExecutor() as at_once:
        list(at_once.map(try_with, FORGOTTEN))


def test_answers_are_right_whatever_happens_under_load(domains: Mapping[str, Domain]) -> None:
    """One fault after the other at the only server there is, with logins all the time."""
    domain = domains["storm.alone"]
    over = threading.Event()
    dice = random.Random(20261122)
    known = [account for account in PEOPLE_OF_ALL_KINDS if account.right == "password_matches"]

    def somebody() -> Iterator[Question]:
        while not over.is_set():
            account, other = dice.choice(known), dice.choice(known)
            yield domain.jid(account), dice.choice([account, other]).password

    def answers_with(answer: Answer) -> bool:
        return domain.right(ALICE) == answer

    with ThreadPoolExecutor() as aside:
        storming = aside.submit(storm, domain.daemon, somebody(), 8)
        try:
            for name in MANGLING:
                for fault in (FAULTS[name], FAULTS[f"{name}-binds"]):
                    wait_until(lambda: answers_with(YES), "logins")
                    domain.proxy.do(fault)
                    wait_until(lambda: answers_with(OUTAGE), "an outage")
                    domain.proxy.do(PASS)
        finally:
            over.set()
    passwords = {domain.jid(account): account.password for account in known}
    found: dict[bool, set[Answer]] = {True: set(), False: set()}
    for (jid, password), answer in storming.result():
        found[password == passwords[jid]].add(answer)
    assert found == {True: {YES, OUTAGE}, False: {NO, OUTAGE}}


def test_silence_to_the_service_account_keeps_nobody_from_the_next_server(
    domains: Mapping[str, Domain],
) -> None:
    """Which is connected to for the first time, and is not the first to be ready for a bind."""
    domain = domains["ponder.example"]
    first, second = domain.proxies
    assert domain.at_once(ALICE, BOB) == (YES, NO)
    second.do(Ponder(0.3))
    first.do(Mute())
    assert domain.at_once(ALICE, BOB) == (YES, NO)


@pytest.mark.parametrize("name", CROWDED)
def test_crowd_goes_to_the_second_server_when_the_first_falls_silent(
    domains: Mapping[str, Domain], name: str
) -> None:
    """Who has sent a password to it may be told to try again; who waited in line has not."""
    domain = domains[f"{name}.crowd"]
    assert domain.at_once(ALICE, BOB) == (YES, NO)
    domain.proxy.do(CROWDED[name])
    asked = [(domain.jid(ALICE), ALICE.password)] * 500
    answers = [answer for _, answer in storm(domain.daemon, asked, connections=len(asked))]
    sent = domain.proxy.user_binds().count(ALICE.dn) if name != "mute" else 0
    assert answers.count(YES) + answers.count(OUTAGE) == len(asked)
    assert answers.count(OUTAGE) <= sent <= MOST_SENT


def test_one_server_of_three_is_enough(domains: Mapping[str, Domain]) -> None:
    """Though the others let the service account wait."""
    domain = domains["three.example"]
    for proxy in domain.proxies:
        proxy.do(Mute())
    assert domain.at_once(ALICE, BOB) == (YES, NO)
