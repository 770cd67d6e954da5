"""The state in a Redis that is stopped, hung, cut off, full, wrongly set up, or not there yet.

What must hold whatever happens: no token is accepted that could not be marked as used, none is
accepted twice, everybody is told, whoever shows no temporary token goes on, and all is well again
without a restart.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stores.redis_server import RedisServer

from .calls import NO, YES
from .canary import secret, unguarded
from .daemon import write_private
from .token_node import (
    UNAVAILABLE,
    TokenNode,
    accepted,
    assert_no_issue,
    assert_others_go_on,
    assert_outage,
    wait_until_healed,
)

WELL = "well again, after"


class RedisNode(TokenNode):
    """A daemon before a Redis of its own."""

    def __init__(self, folder: Path, redis: RedisServer, more: str = "") -> None:
        self.state = f"redis://127.0.0.1:{redis.port}/0"
        self.redis = redis
        super().__init__(folder, self.state, more=more)

    def said_once(self, words: str) -> None:
        """The log has one line with these words, which says when, and which server it is about."""
        (line,) = self.lines(words)
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \w+ ", line)
        assert f"state {self.state}: {words}" in line

    def cut(self) -> None:
        """Have Redis end the connection while nothing is on its way there: else it is reset."""
        self.process.pause()
        self.redis.ask("PING")  # what was sent before has been read
        self.redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.process.resume()

    def troubles(self) -> int:
        """How often something was wrong with the state, as the log has it."""
        return len(self.lines(f"error [authbridge.stores.ledger] state {self.state}: "))


@contextmanager
def running(node: RedisNode) -> Iterator[None]:
    """It, from now to the end; and the end of its Redis, whatever became of that."""
    try:
        node.start()
        yield
        assert node.stop() == 0
    finally:
        if node.running:
            node.kill()
        node.redis.process.kill()


@pytest.fixture
def node(workspace: Path) -> Iterator[RedisNode]:
    """The two, running."""
    folder = workspace / f"redis-{secrets.token_hex(4)}"
    found = RedisNode(folder / "daemon", RedisServer(folder / "redis"))
    with running(found):
        yield found


def test_stopped_redis_is_said_and_waited_for(node: RedisNode) -> None:
    """It has kept everything: what was used is, and what was not can be."""
    used, *others = node.issue(4)
    assert node.log_in(used) == YES
    node.redis.stop()
    assert_outage(node, used, *others)
    node.redis.start()
    wait_until_healed(node)
    assert [accepted(node, token) for token in (used, *others)] == [0, 1, 1, 1]
    node.wait_for(WELL)
    node.said_once(WELL)
    assert 1 <= node.troubles() <= 2  # the end of the connection, and that there is nobody


def test_hung_redis_is_said_and_waited_for(node: RedisNode) -> None:
    """Everybody is told; what it was asked when it hung may be done when it goes on."""
    used, asked, *others = node.issue(4)
    assert node.log_in(used) == YES
    node.redis.process.pause()
    assert node.log_in(asked) == UNAVAILABLE
    assert_outage(node, used, *others)
    node.redis.process.resume()
    wait_until_healed(node)
    assert accepted(node, asked) in (0, 1)
    assert [accepted(node, token) for token in (used, *others)] == [0, 1, 1]
    node.said_once("has not answered for 2 s")
    node.said_once(WELL)


def test_cut_connection_is_made_again(node: RedisNode) -> None:
    """Whoever comes first finds it out, or nobody does."""
    used, *others = node.issue(4)
    assert node.log_in(used) == YES
    node.cut()
    refused = [token for token in others if node.log_in(token) == UNAVAILABLE]
    wait_until_healed(node)
    assert accepted(node, used) == 0
    assert [accepted(node, token) for token in others] == [token in refused for token in others]
    node.said_once("has closed the connection")
    node.said_once(WELL)
    assert_others_go_on(node)


def test_redis_that_is_started_later_is_waited_for(workspace: Path) -> None:
    """The daemon starts without it, says so once, and serves who needs it not."""
    folder = workspace / "redis-later"
    redis = RedisServer(folder / "redis")
    redis.stop()
    node = RedisNode(folder / "daemon", redis)
    with running(node):
        node.wait_for("cannot be reached: Connection refused")
        assert_outage(node, b"abtt1_" + b"A" * 43)
        node.said_once("cannot be reached: Connection refused")
        redis.start()
        token = wait_until_healed(node)
        assert accepted(node, token) == 1
        node.said_once(WELL)


def test_full_redis_issues_and_accepts_nothing_and_heals(node: RedisNode) -> None:
    """Nor can a token be marked as used; Redis forgets nothing to make room."""
    used, *others = node.issue(4)
    assert node.log_in(used) == YES
    node.redis.ask("CONFIG", "SET", "maxmemory", "1")
    assert_no_issue(node)
    assert [node.log_in(token) for token in others] == [UNAVAILABLE] * 3
    assert node.log_in(used) in (NO, UNAVAILABLE)
    assert_others_go_on(node)
    node.redis.ask("CONFIG", "SET", "maxmemory", "0")
    wait_until_healed(node)
    assert accepted(node, used) == 0
    assert [accepted(node, token) for token in others] == [1, 1, 1]
    node.said_once("refuses writes: its maxmemory is reached")
    node.said_once(WELL)


Change = tuple[str, str, str]

UNFIT: dict[str, tuple[Change, str]] = {
    "evicts": (
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        "may forget what was used when its memory is full; it needs maxmemory-policy noeviction",
    ),
    "not-kept": (
        ("appendonly", "no", "yes"),
        "may forget what was used when it is restarted; it needs appendonly yes",
    ),
    "not-synced": (
        ("appendfsync", "no", "always"),
        "may forget what was used when its machine fails; it needs appendfsync always",
    ),
}


@pytest.mark.parametrize(("change", "words"), UNFIT.values(), ids=UNFIT)
def test_redis_that_may_forget_is_refused_until_it_does_not(
    node: RedisNode, change: Change, words: str
) -> None:
    """While it runs, and when the connection is made again."""
    setting, wrong, right = change
    used, *others = node.issue(3)
    assert node.log_in(used) == YES
    node.redis.ask("CONFIG", "SET", setting, wrong)
    node.cut()
    assert node.log_in(others[0]) == UNAVAILABLE
    node.wait_for(words)
    assert_outage(node, used, *others)
    node.redis.ask("CONFIG", "SET", setting, right)
    wait_until_healed(node)
    assert [accepted(node, token) for token in (used, *others)] == [0, 1, 1]
    node.said_once(words)
    node.said_once(WELL)


def test_change_of_a_redis_that_may_forget_now_is_noticed(node: RedisNode) -> None:
    """With the connection as it was: it is looked at every few seconds."""
    token, *_ = node.issue(1)
    node.redis.ask("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    words = UNFIT["evicts"][1]
    node.wait_for(words)
    assert_outage(node, token)
    node.redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    wait_until_healed(node)
    assert accepted(node, token) == 1
    node.said_once(words)


def test_wrong_password_is_said_until_redis_takes_it(workspace: Path) -> None:
    """Never the password itself."""
    folder = workspace / "redis-password"
    right = unguarded("on-its-command-line").decode()
    wrong = secret("wrong-of-redis").decode()
    write_private(folder / "password", wrong.encode() + b"\n")
    redis = RedisServer(folder / "redis", password=right)
    node = RedisNode(folder / "daemon", redis, more=f'state_password_file = "{folder}/password"\n')
    with running(node):
        node.wait_for("refuses this user, or the password")
        assert_outage(node, b"abtt1_" + b"A" * 43)
        node.said_once("refuses this user, or the password")
        redis.ask("CONFIG", "SET", "requirepass", wrong)
        token = wait_until_healed(node)
        assert accepted(node, token) == 1
        node.said_once(WELL)
