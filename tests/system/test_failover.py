"""Whatever the first of two servers does wrong: users get their answers, and never a wrong one."""

import select
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import NO, YES
from .directory import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    CELIK,
    CROWD_PEOPLE,
    ZOE,
    Account,
)
from .fault_proxy import FaultProxies
from .faults import (
    PASS,
    Delay,
    Fault,
    HalfClose,
    Hang,
    Instead,
    Mute,
    Refer,
    Refuse,
    Reset,
    Slam,
    Trickle,
    answers,
)
from .ldap_messages import (
    BIND_RESPONSE,
    BINDS,
    EXTENDED_RESPONSE,
    LOGINS,
    SEARCH_DONE,
    SEARCHES,
    Message,
    ber,
    message,
    result,
)
from .pki import Pki
from .two_servers import MORE_PEOPLE, OUTAGE, RECOVERY, Domain, Domains, running_slapds
from .waiting import wait_until


def garbage(request: Message, reply: Message) -> bytes:
    """No LDAP."""
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


def huge_length(request: Message, reply: Message) -> bytes:
    """The beginning of two gigabytes."""
    return b"\x30\x84\x7f\xff\xff\xff" + bytes(60_000)


def wrong_id(request: Message, reply: Message) -> bytes:
    """A success that answers nothing of what is under way."""
    return result(request.number + 1000, reply.tag, 0)


def wrong_tag(request: Message, reply: Message) -> bytes:
    """The success of something else."""
    tag = SEARCH_DONE if reply.tag == BIND_RESPONSE else BIND_RESPONSE
    return result(request.number, tag, 0)


def goodbye(request: Message, reply: Message) -> bytes:
    """Notice of Disconnection (RFC 4511, 4.4.1)."""
    oid = ber(0x8A, b"1.3.6.1.4.1.1466.20036")
    return message(0, EXTENDED_RESPONSE, ber(10, b"\x34"), ber(4), ber(4), oid)


#: What goes wrong before a password is sent, or is an answer that another server may be asked for:
#: nobody notices.
UNNOTICED: Mapping[str, Fault] = {
    "hang": Hang(),
    "mute": Mute(),
    "mute-once-connected": Mute(LOGINS),
    "late": Delay(3.0),
    "trickle": Trickle(),
    "refuse": Refuse(),
    "slam": Slam(),
    "reset": Reset(),
    "half-close": HalfClose(),
    "goodbye": Instead(goodbye),
    "garbage": Instead(garbage),
    "huge-length": Instead(huge_length),
    "wrong-id": Instead(wrong_id),
    "wrong-tag": Instead(wrong_tag),
    "busy": answers(51),
    "unavailable": answers(52),
    "other": answers(80),
    "busy-binds": answers(51, BINDS),
    "unavailable-binds": answers(52, BINDS),
    "other-binds": answers(80, BINDS),
    "no-such-object": answers(32, SEARCHES),
}
#: What goes wrong after a password was sent: who was the first to meet it may have to try again.
NOTICED: Mapping[str, Fault] = {
    "mute-binds": Mute(BINDS),
    "late-binds": Delay(3.0, BINDS),
    "trickle-binds": Trickle(BINDS),
    "reset-binds": Reset(BINDS),
    "half-close-binds": HalfClose(BINDS),
    "goodbye-binds": Instead(goodbye, BINDS),
    "garbage-binds": Instead(garbage, BINDS),
    "huge-length-binds": Instead(huge_length, BINDS),
    "wrong-id-binds": Instead(wrong_id, BINDS),
    "wrong-tag-binds": Instead(wrong_tag, BINDS),
}
FAULTS = {**UNNOTICED, **NOTICED}
REFERRALS = ("referral", "referral-binds")
HARMLESS = ("reference", "slow")

#: Each fault has domains of its own, and these to log in there, so that as many are tried at once.
LANES: Sequence[Sequence[Account]] = (
    (ALICE, BOB, CELIK, CAROL, CROWD_PEOPLE[0], ZOE),
    CROWD_PEOPLE[1:7],
    CROWD_PEOPLE[7:13],
    MORE_PEOPLE[0:6],
    MORE_PEOPLE[6:12],
    MORE_PEOPLE[12:18],
)


def groups(names: Iterable[str]) -> pytest.MarkDecorator:
    """Tries as many at once as there are lanes."""
    left = list(names)
    size = len(LANES)
    some = [left[at : at + size] for at in range(0, len(left), size)]
    return pytest.mark.parametrize("names", some, ids="+".join)


@dataclass(frozen=True)
class Trial:
    """The domains in which a fault is tried, so that each meets it for the first time."""

    #: In use when it begins; the second server is well.
    pair: Domain
    #: In use when it begins; both servers have it.
    faulty: Domain
    #: First used when it is there; the second server is well.
    late: Domain

    def run(self, fault: Fault, lane: Sequence[Account], *, noticed: bool) -> None:
        """Try it in all three. `noticed`: by who is the first to meet it."""
        assert self.pair.at_once(*lane[0:2]) == self.faulty.at_once(*lane[2:4]) == (YES, NO)
        with ThreadPoolExecutor() as at_once:
            stories = [
                at_once.submit(first_server_fails, self.pair, fault, lane[0:2], noticed=noticed),
                at_once.submit(both_servers_fail, self.faulty, fault, lane[2:4]),
                at_once.submit(first_server_fails, self.late, fault, lane[4:6], noticed=noticed),
            ]
        for domain in (self.pair, self.faulty, self.late):
            for proxy in domain.proxies:
                proxy.do(PASS)
        for story in stories:
            story.result()


def first_server_fails(
    domain: Domain, fault: Fault, people: Sequence[Account], *, noticed: bool
) -> None:
    """Logins go through the second, and through the first again when it is well."""
    slapds, proxy = domain.slapds, domain.proxy
    proxy.do(fault)
    answered = domain.at_once(*people)
    if noticed:
        wait_until(lambda: domain.at_once(*people) == (YES, NO), "logins", RECOVERY)
    else:
        assert answered == (YES, NO)
        assert domain.at_once(*people) == (YES, NO)
    proxy.do(PASS)

    def first_is_used() -> bool:
        mark = slapds.mark()
        assert domain.right(people[0]) == YES
        return slapds.binds(mark, people[0]) == (1, 0)

    wait_until(first_is_used, "the first server is used again", 2 * RECOVERY)
    assert all(first_is_used() for _ in range(3))


def both_servers_fail(domain: Domain, fault: Fault, people: Sequence[Account]) -> None:
    """Nobody is refused; and it is over when one of them is well."""
    first, second = domain.proxies
    for proxy in (first, second):
        proxy.do(fault)
    assert domain.at_once(*people) == (OUTAGE, OUTAGE)
    domain.exists(people[0])
    first.do(PASS)
    second.do(Refuse())
    wait_until(lambda: domain.right(people[0]) == YES, "logins", RECOVERY)
    assert domain.wrong(people[1]) == NO
    assert domain.exists(people[0]) == YES


def run(trials: Mapping[str, Trial], faults: Mapping[str, Fault], *, noticed: bool) -> None:
    """Try several at once."""

    def try_one(name: str, lane: Sequence[Account]) -> None:
        try:
            trials[name].run(faults[name], lane, noticed=noticed)
        except Exception as error:
            error.add_note(f"with the fault {name!r}")
            raise

    with ThreadPoolExecutor() as at_once:
        tries = [at_once.submit(try_one, *one) for one in zip(faults, LANES, strict=False)]
    for one in tries:
        one.result()


@pytest.fixture(scope="module")
def trials(workspace: Path, directory_pki: Pki) -> Iterator[Mapping[str, Trial]]:
    """All domains, in a daemon that runs."""
    folder = workspace / "failover"
    with (
        running_slapds(folder, directory_pki, MORE_PEOPLE) as slapds,
        FaultProxies() as proxies,
    ):
        domains = Domains(folder / "daemon", slapds, directory_pki, proxies)
        names = (*UNNOTICED, *NOTICED, *REFERRALS, *HARMLESS)
        second = slapds.second.tls_url
        for name in names:
            both = domains.proxy(), domains.proxy(second=True)
            domains.add(f"{name}.pair", domains.proxy(), second, base=BASE)
            domains.add(f"{name}.faulty", *both, base=BASE)
            domains.add(f"{name}.late", domains.proxy(), second, base=BASE)
        daemon, by_name = domains.daemon()
        daemon.start()
        try:
            kinds = ("pair", "faulty", "late")
            yield {name: Trial(*(by_name[f"{name}.{kind}"] for kind in kinds)) for name in names}
        finally:
            daemon.stop()


@groups(UNNOTICED)
def test_fault_of_the_first_server_is_not_noticed(
    trials: Mapping[str, Trial], names: Sequence[str]
) -> None:
    """With the second well nobody is even sent away; with both at fault nobody is refused."""
    run(trials, {name: UNNOTICED[name] for name in names}, noticed=False)


@groups(NOTICED)
def test_fault_after_the_password_was_sent_is_met_once(
    trials: Mapping[str, Trial], names: Sequence[str]
) -> None:
    """A second server might count a wrong one again, so it is not asked: not by this login."""
    run(trials, {name: NOTICED[name] for name in names}, noticed=True)


def test_password_is_never_sent_where_a_referral_leads(
    trials: Mapping[str, Trial], stranger: socket.socket
) -> None:
    """Nobody even comes there; the second server is asked."""
    url = f"ldap://127.0.0.1:{stranger.getsockname()[1]}/"
    kinds = zip(REFERRALS, (SEARCHES, BINDS), strict=True)
    run(trials, {name: answers(10, kind, url) for name, kind in kinds}, noticed=False)
    assert select.select([stranger], [], [], 0)[0] == []


@pytest.mark.parametrize("name", HARMLESS)
def test_first_server_is_used_as_long_as_it_answers(
    trials: Mapping[str, Trial], stranger: socket.socket, name: str
) -> None:
    """However slowly, and with references to other servers, which nobody follows."""
    url = f"ldap://127.0.0.1:{stranger.getsockname()[1]}/"
    domain = trials[name].pair
    # Who has no connection yet is not waited for as long as who is slow to answer.
    assert domain.at_once(ALICE, BOB) == (YES, NO)
    domain.proxy.do(Refer(url) if name == "reference" else Delay(0.2))
    mark = domain.slapds.mark()
    for _ in range(2):
        assert domain.at_once(ALICE, BOB) == (YES, NO)
    assert domain.slapds.binds(mark, ALICE) == domain.slapds.binds(mark, BOB) == (2, 0)
    assert select.select([stranger], [], [], 0)[0] == []
