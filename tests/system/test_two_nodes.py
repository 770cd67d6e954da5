"""Two daemons, one Redis, and Debian's HAProxy in front, as docs/operations.md has it.

What is asked over HTTP is served as long as one of them runs: when one is stopped and started, no
login and no token is lost. Of one that is killed, what it was just doing may be lost; no token is
ever accepted twice.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .calls import NO, YES
from .canary import secret
from .haproxy import NAME, SERVERS, Haproxy
from .pki import make_pki
from .token_node import EXTAUTH_ERROR, EXTAUTH_NO, EXTAUTH_YES, PASSWORD
from .two_nodes import (
    CALLERS,
    NO_ANSWER,
    Caller,
    Connector,
    DocumentedRedis,
    Node,
    Pair,
    Secrets,
    wait_until_both_serve,
)
from .waiting import wait_until


@pytest.fixture(scope="module")
def shared_pair(workspace: Path) -> Iterator[Pair]:
    """Tests take `pair`."""
    folder = workspace / "pair"
    pki = make_pki(folder / "tls", (NAME, *SERVERS), ["127.0.0.1"])
    secrets = Secrets(secret("website"), secret("server"))
    redis = DocumentedRedis(folder / "redis", pki)
    with ExitStack() as ends:
        ends.callback(redis.stop)
        first, second = (Node(folder / name, redis, pki, secrets) for name in ("one", "two"))
        for node in (first, second):
            node.start()
            ends.callback(node.stop)
        haproxy = Haproxy(folder / "haproxy", pki, [first.tls_port, second.tls_port])
        haproxy.start()
        ends.callback(haproxy.stop)
        yield Pair((first, second), haproxy, redis, pki)


@pytest.fixture
def pair(shared_pair: Pair) -> Iterator[Pair]:
    """It; both run again afterwards."""
    yield shared_pair
    for node in shared_pair.nodes:
        node.restore()


def test_stop_and_start_of_either_loses_no_login_and_no_token(pair: Pair) -> None:
    """Every token is issued, is good, and is good once."""
    crowd = pair.crowd()
    with crowd.coming():
        for node in pair.nodes * 3:
            wait_until_both_serve(pair, crowd)
            assert node.stop() == 0
            crowd.wait_for_rounds(3 * CALLERS)
            node.start()
        wait_until_both_serve(pair, crowd)
    assert [answers for answers in crowd.rounds if answers != [YES, NO]] == []
    assert "verdict=unavailable" not in "".join(node.log.read_text() for node in pair.nodes)


def test_kill_of_either_never_has_a_token_accepted_twice(pair: Pair) -> None:
    """What it was just doing may be lost, and HAProxy asks the other; all others are served."""
    crowd = pair.crowd()
    with crowd.coming():
        for node in pair.nodes * 3:
            wait_until_both_serve(pair, crowd)
            crowd.wait_for_rounds(CALLERS)
            node.kill()
            crowd.wait_for_rounds(3 * CALLERS)
            node.start()
        wait_until_both_serve(pair, crowd)
        settled = len(crowd.rounds)  # those under way now began before
        crowd.wait_for_rounds(5 * CALLERS)
    assert all(answers.count(YES) <= 1 for answers in crowd.rounds)
    assert {status for answers in crowd.rounds for status, _ in answers} <= {200, *NO_ANSWER}
    behind = [
        answers
        for began, answers in zip(crowd.began, crowd.rounds, strict=True)
        if began >= settled
    ]
    assert behind
    assert [answers for answers in behind if answers != [YES, NO]] == []


def test_token_of_one_node_is_good_at_the_other_and_then_at_neither(pair: Pair) -> None:
    """What either has done, both know."""
    one, two = pair.nodes
    (token,) = one.issue(1)
    assert [node.log_in(token) for node in (two, one, two)] == [YES, NO, NO]
    (token,) = two.issue(1)
    assert [node.log_in(token) for node in (two, one)] == [YES, NO]


@pytest.fixture
def connectors(pair: Pair) -> Iterator[tuple[Connector, ...]]:
    """One of each node; that of the first does not wait for it for long."""
    first = pair.nodes[0]
    first.stop()
    first.be_quick(quick=True)
    first.start()
    found = tuple(map(Connector, pair.nodes))
    yield found
    first.be_quick(quick=False)
    for connector in found:
        connector.process.communicate(timeout=90)


def test_ejabberd_of_a_stopped_node_is_told_of_an_outage_and_goes_on_afterwards(
    pair: Pair, connectors: tuple[Connector, Connector]
) -> None:
    """Its program asks no other daemon, and stays; the other ejabberd notices nothing."""
    here, there = connectors
    stopped, other = pair.nodes
    first, second = other.issue(2)
    for connector in connectors:
        wait_until(lambda: connector.log_in(PASSWORD) == EXTAUTH_YES, "it serves")  # noqa: B023
    stopped.stop()
    assert here.log_in(first) == here.log_in(PASSWORD) == EXTAUTH_ERROR
    assert there.log_in(first) == there.log_in(PASSWORD) == EXTAUTH_YES
    stopped.be_quick(quick=False)
    stopped.start()
    # After so long an absence a daemon has half a second for its first word.
    wait_until(lambda: here.log_in(PASSWORD) == EXTAUTH_YES, "it serves again")
    assert [here.log_in(token) for token in (first, second)] == [EXTAUTH_NO, EXTAUTH_YES]
    assert [there.log_in(token) for token in (first, second)] == [EXTAUTH_NO, EXTAUTH_NO]
    assert here.process.poll() is None


def test_documented_redis_is_worth_no_warning(pair: Pair) -> None:
    """It is as it should be."""
    for node in pair.nodes:
        assert node.lines("authbridge.stores") == []


def test_log_of_haproxy_has_no_query(pair: Pair) -> None:
    """There is the password in it."""
    caller = Caller(pair, keeps=False)
    assert caller.log_in(PASSWORD) == YES
    wait_until(lambda: "GET /auth/check_password 200 " in pair.haproxy.log.read_text(), "a line")
    assert "?" not in pair.haproxy.log.read_text()
