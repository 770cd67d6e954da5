"""The store in Redis keeps the contract, with a real redis-server."""

from __future__ import annotations

import os
import secrets
import socket
import threading

import pytest
from redis.connection import SSLConnection
from redis.exceptions import ResponseError

from authbridge.model import Reason
from authbridge.stores import redis_link
from authbridge.stores.memory import MemoryStore
from authbridge.stores.operations import (
    EVER,
    KEPT,
    Admit,
    Claim,
    Find,
    Issue,
    List,
    NoteSeen,
    Peek,
    Revoke,
    RevokeAll,
    Seen,
    StoreFault,
    Withdraw,
)
from authbridge.stores.redis import FORGIVEN, RedisStore
from authbridge.stores.redis_fitness import judge
from authbridge.stores.redis_link import LOST, fault_of
from authbridge.stores.redis_settings import RedisSettings
from authbridge.tokens import temporary
from tests.stores.contract import ENDS, DurableContract, long_course
from tests.stores.examples import ALICE, BOB, T0, ask, consume, digest, id_, issue, sweep
from tests.stores.redis_server import RedisServer
from tests.system.pki import make_pki
from tests.system.ports import free_port

PATIENCE = 60.0
"""Seconds, for a server that will answer: each write of its waits for a disk that may be busy."""
SOON = 0.3
"""For one that will not."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis(shared):
    """As new."""
    shared.ask("FLUSHALL")
    shared.ask("SCRIPT", "FLUSH")
    shared.ask("CONFIG", "SET", "appendfsync", "always")
    return shared


@pytest.fixture
def start(tmp_path):
    """Starts servers."""
    servers = []

    def start(*options, **others):
        servers.append(RedisServer(tmp_path / f"redis{len(servers)}", *options, **others))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.running:
            server.stop()


@pytest.fixture
def store(redis):
    store = make(redis.settings())
    store.open()
    yield store
    store.close()


def make(settings, *, random=os.urandom, timeout=PATIENCE):
    return RedisStore(settings, random, timeout)


def have_patience(store, seconds):
    """From now on: for what is asked over the connection that it has, and over new ones."""
    store._timeout = seconds
    if store._link is not None:
        store._link._connection._sock.settimeout(seconds)


def refusal(settings):
    """Why it must not be used."""
    store = make(settings)
    with pytest.raises(StoreFault) as caught:
        store.open()
    assert caught.value.refused
    assert caught.value.lost
    return caught.value.words


def fault(function, *arguments):
    with pytest.raises(StoreFault) as caught:
        function(*arguments)
    return caught.value


class TestRedisStore(DurableContract):
    @pytest.fixture
    def new_store(self, redis):
        return lambda: make(redis.settings())

    # Of a batch, Redis has done what did not fail.

    def test_an_id_is_given_out_once(self, store):
        ask(store, issue("t"))
        same_id = Issue(digest("t")[:16] + digest("u")[16:], BOB, 60.0, 1, "website")
        for again in (issue("t", BOB), same_id):
            caught = fault(store.run, [again], T0)
            assert not caught.lost
            assert not caught.refused
        assert ask(store, Find(id_("t"))).jid == ALICE
        assert ask(store, consume("t")) is Reason.TOKEN_VALID

    def test_an_id_is_given_out_once_in_a_batch(self, store):
        fault(store.run, [issue("t"), issue("t", BOB)], T0)
        assert ask(store, Find(id_("t"))).jid == ALICE


@pytest.mark.parametrize("seed", range(3))
def test_a_random_course_goes_as_it_does_in_memory(store, seed):
    """One by one: of a batch, some may be done. Swept before, as Redis itself forgets tokens."""
    model, now = MemoryStore(), T0
    for step, batch in long_course(seed, 150):
        now += step
        for one in (store, model):
            sweep(one, now)
        for operation in batch or []:
            found = []
            for one in (store, model):
                try:
                    found.append(ask(one, operation, now))
                except StoreFault as caught:
                    found.append((caught.lost, caught.refused))
            assert found[0] == found[1], operation


def test_an_id_that_was_forgotten_can_be_given_out_again(store):
    ask(store, Issue(digest("t"), ALICE, 60.0, 5, "website", "phone"))
    ask(store, Revoke(id_("t")))
    record = ask(store, issue("t", BOB, uses=None), T0 + KEPT + 61)
    assert ask(store, Find(id_("t")), T0 + KEPT + 61) == record


def test_text_that_is_no_unicode_is_kept(store):
    record = ask(store, Issue(digest("t"), ALICE, 60.0, 1, "website", "\ud800", "\0"))
    assert ask(store, Find(id_("t"))) == record


def test_moments_are_kept_to_the_last_digit(store):
    now = 1_800_000_000.123456
    record = ask(store, issue("t", ttl=0.1), now)
    assert ask(store, Find(id_("t")), now) == record
    assert record.expires == now + 0.1


def test_nothing_that_is_issued_stays_for_ever(redis, store):
    store.run([issue("t", ttl=60.0), issue("u", ttl=9000.0)], T0)
    lifetimes = [redis.ask("PTTL", f"authbridge:token:{id_(name)}") for name in "tu"]
    assert 60_000 < lifetimes[0] <= 1000 * (60 + 2 * KEPT) < lifetimes[1]
    assert abs(redis.ask("PTTL", f"authbridge:user:{ALICE}") - lifetimes[1]) < 60_000
    ask(store, issue("v", ttl=1.0))
    assert redis.ask("PTTL", f"authbridge:user:{ALICE}") > lifetimes[0]
    ask(store, Revoke(id_("u")))
    assert redis.ask("PTTL", f"authbridge:token:{id_('u')}") <= 2000 * KEPT


def test_a_token_that_redis_has_forgotten_is_not_listed(redis, store):
    store.run([issue("t"), issue("u")], T0)
    redis.ask("DEL", f"authbridge:token:{id_('t')}")
    assert [one.digest for one in ask(store, List(ALICE))] == [digest("u")]


def test_all_keys_are_ours(redis, store):
    batch = [issue("t"), issue("u", uses=2), consume("t"), consume("u"), NoteSeen(ALICE)]
    batch += [Claim((), T0, ENDS, T0 + 5, b"c"), Withdraw(b"s", T0, ENDS, T0 + 5)]
    store.run(batch, T0)
    sweep(store, T0 + KEPT + 6)
    keys = redis.ask("KEYS", "*")
    assert len(keys) > 5
    assert all(key.startswith(b"authbridge:") for key in keys)


def test_what_is_forgotten_leaves_the_horizon_alone_behind(redis, store):
    store.run([Claim((), T0, ENDS, T0 + 5, b"c"), Withdraw(b"s", EVER, ENDS, T0 + 7)], T0)
    sweep(store, T0 + KEPT + 6)
    assert redis.ask("EXISTS", "authbridge:claims") == 0
    assert ask(store, Admit((b"s",), T0, ENDS, T0 + 6, None)) is Reason.TOKEN_REVOKED
    assert ask(store, Claim((), T0, ENDS, T0 + 5, b"c")) is Reason.TOKEN_EXPIRED
    sweep(store, T0 + KEPT + 7)
    for key in ("claims", "withdrawn", "withdrawn:what"):
        assert redis.ask("EXISTS", f"authbridge:{key}") == 0
    assert ask(store, Claim((b"s",), T0, ENDS, T0 + 7, b"c")) is Reason.TOKEN_EXPIRED
    assert ask(store, Claim((b"s",), T0, ENDS, T0 + 8, b"c")) is Reason.TOKEN_VALID


def test_two_daemons_use_a_token_once(redis):
    stores = [make(redis.settings()) for _ in range(2)]
    for one in stores:
        one.open()
    for round_ in range(20):
        ask(stores[0], issue(f"t{round_}"))
        found = [None, None]
        barrier = threading.Barrier(2)

        def use(number, name=f"t{round_}", found=found, barrier=barrier):
            barrier.wait(30)
            found[number] = stores[number].run([consume(name)] * 50, T0)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (found[0] + found[1]).count(Reason.TOKEN_VALID) == 1
    for one in stores:
        one.close()


def test_the_clock_of_one_daemon_counts_for_the_other(redis, store):
    other = make(redis.settings())
    other.open()
    assert other.mark == 0
    ask(store, issue("t"), T0)
    store.sweep(T0 + 60, T0)
    assert ask(other, consume("t"), T0) is Reason.TOKEN_EXPIRED
    other.sweep(T0 + 1, T0)
    assert other.mark == T0 + 60
    store.sweep(T0 + 90, T0)
    other.close()
    other.open()
    assert other.mark == T0 + 90
    other.close()


def test_no_token_is_on_the_disk(redis, store):
    token = temporary.make(secrets.token_bytes(temporary.RANDOM)).encode()
    asked = Issue(temporary.digest(token), ALICE, 60.0, 2, "website")
    ask(store, asked)
    ask(store, Peek(asked.digest, ALICE))
    assert b"website" in redis.kept()
    assert token not in redis.kept()
    assert token[6:] not in redis.kept()


def test_valkey_is_a_redis():
    """From 8 on it has another name for its mode, unless it is told to say what Redis says."""
    said = ["cluster_enabled:0", "role:master", "maxmemory_policy:noeviction", "aof_enabled:1"]
    for mode in ("server_mode", "redis_mode"):
        info = "\r\n".join(["# Server", f"{mode}:standalone", *said]).encode()
        assert judge([info, [b"appendfsync", b"always"], []]) == ()
        with pytest.raises(StoreFault, match="Sentinel"):
            judge([info.replace(b"standalone", b"sentinel"), [], []])


def test_what_cannot_be_used_any_more_is_not_among_a_user_s_tokens(redis, store):
    store.run([issue(name, uses=None) for name in ("t", "u")], T0)
    store.run([issue("used"), issue("revoked", ttl=1e6)], T0)
    assert redis.ask("ZCARD", f"authbridge:user:{ALICE}") == 4
    store.run([consume("used"), consume("t"), Revoke(id_("revoked"))], T0)
    assert redis.ask("ZCARD", f"authbridge:user:{ALICE}") == 2
    ask(store, issue("later"), T0 + 60)
    assert redis.ask("ZCARD", f"authbridge:user:{ALICE}") == 1
    ask(store, RevokeAll(ALICE), T0 + 60)
    assert redis.ask("EXISTS", f"authbridge:user:{ALICE}") == 0


# Whether it is the same


def test_who_comes_first_makes_the_epoch(redis):
    for octet in (b"\1", b"\2"):
        store = make(redis.settings(), random=lambda count, octet=octet: octet * count)
        store.open()
        assert redis.ask("GET", "authbridge:epoch") == b"01" * 16
        store.close()


LOSSES = {
    "emptied": [("FLUSHALL",)],
    "emptied, and its scripts": [("FLUSHALL",), ("SCRIPT", "FLUSH")],
    "an empty one": [("SWAPDB", "0", "1")],
    "a copy from before the epoch": [("DEL", "authbridge:epoch")],
    "a copy of another": [("SET", "authbridge:epoch", "0" * 32)],
}
EVERYTHING = (
    consume("t"),
    Claim((), T0, ENDS, T0 + 60, b"c"),
    Admit((b"s",), T0, ENDS, T0 + 60, b"c"),
    Admit((), None, ENDS, T0 + 60, None),
    Peek(digest("t"), ALICE),
    issue("u"),
    Find(id_("t")),
    List(ALICE),
    Revoke(id_("t")),
    RevokeAll(ALICE),
    Withdraw(b"s", T0, ENDS, T0 + 60),
    NoteSeen(ALICE),
    Seen(ALICE),
)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_redis_that_has_lost_what_it_knew_is_refused_from_then_on(redis, loss):
    store = make(redis.settings())
    store.open()
    used = Claim((), T0, ENDS, T0 + 60, b"c")
    store.run([issue("t"), used, Withdraw(b"s", EVER, ENDS, T0 + 60), NoteSeen(ALICE)], T0)
    for command in LOSSES[loss]:
        redis.ask(*command)
    before = sorted(redis.ask("KEYS", "*"))
    for operation in EVERYTHING:
        assert fault(store.run, [operation], T0).lost
    assert fault(store.sweep, T0, T0).lost
    for _ in range(2):
        caught = fault(store.open)
        assert (caught.lost, caught.refused, caught.words) == (True, True, LOST)
        assert fault(store.run, [used], T0).words == "is not open"
    assert sorted(redis.ask("KEYS", "*")) == before


@pytest.mark.parametrize(("lost", "is_one"), [(FORGIVEN - 1, False), (FORGIVEN + 1, True)])
def test_an_older_copy_of_the_same_redis_is_told_by_its_moment(redis, lost, is_one):
    """What a crash of its machine may take, with appendfsync everysec, is not one."""
    store = make(redis.settings())
    store.open()
    store.sweep(T0, T0)
    redis.ask("SET", "authbridge:clock", repr(T0 - lost))
    if is_one:
        assert fault(store.open).words == LOST
        redis.ask("SET", "authbridge:clock", repr(T0))  # it is the right one again
    store.open()
    assert ask(store, issue("t")).jid == ALICE
    store.close()


def test_a_loss_is_told_by_what_is_asked_and_by_the_sweep(redis, store):
    redis.ask("FLUSHALL")
    for operation in EVERYTHING:
        caught = fault(store.run, [Seen(ALICE), operation], T0)
        assert (caught.lost, caught.refused, caught.words) == (True, True, LOST)
    caught = fault(store.sweep, T0, T0)
    assert (caught.lost, caught.refused, caught.words) == (True, True, LOST)


def test_who_starts_after_a_loss_goes_on_with_what_is_there(redis, store):
    redis.ask("FLUSHALL")
    assert fault(store.open).refused
    other = make(redis.settings())
    other.open()
    ask(other, issue("t"))
    assert fault(store.open).words == LOST
    assert ask(other, consume("t")) is Reason.TOKEN_VALID
    other.close()


def test_a_redis_that_comes_back_as_it_was_is_well_again(redis, store):
    store.run([issue("t"), issue("u"), consume("u")], T0)
    redis.ask("SWAPDB", "0", "1")
    assert fault(store.run, [consume("t")], T0).refused
    assert fault(store.open).refused
    redis.ask("SWAPDB", "0", "1")
    store.open()
    valid, used = Reason.TOKEN_VALID, Reason.TOKEN_USED
    assert store.run([consume("t"), consume("u")], T0) == [valid, used]


def test_a_redis_that_was_restarted_is_the_same(start):
    server = start()
    store = make(server.settings())
    store.open()
    epoch = server.ask("GET", "authbridge:epoch")
    ask(store, issue("t"))
    for _ in range(2):
        server.stop()
        assert fault(store.sweep, T0, T0).lost
        server.start()
        store.open()
        assert server.ask("GET", "authbridge:epoch") == epoch
    assert ask(store, consume("t")) is Reason.TOKEN_VALID
    store.close()


def test_an_epoch_that_was_not_made_yet_is_made(redis):
    redis.ask("SET", "authbridge:version", "1")
    store = make(redis.settings())
    for _ in range(2):
        store.open()
        assert ask(store, Seen(ALICE)) is False
    assert redis.ask("STRLEN", "authbridge:epoch") == 32
    store.close()


def test_data_that_another_version_has_taken_over_are_refused(redis, store):
    redis.ask("SET", "authbridge:version", "2")
    caught = fault(store.open)
    assert (caught.lost, caught.refused) == (True, True)
    assert "another version of authbridge" in caught.words


# What must not be used


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--maxmemory-policy", "volatile-lru"), "needs maxmemory-policy noeviction"),
        (("--maxmemory-policy", "allkeys-random"), "needs maxmemory-policy noeviction"),
        (("--appendonly", "no"), "needs appendonly yes"),
        (("--appendfsync", "no"), "needs appendfsync always"),
        (("--replicaof", "127.0.0.1", "1"), "is a replica"),
    ],
)
def test_a_redis_that_would_forget_is_refused(start, options, words):
    assert words in refusal(start(*options).settings())


def test_a_cluster_is_refused(start):
    server = start("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    assert "is a cluster" in refusal(server.settings())


def test_a_sentinel_is_refused():
    with pytest.raises(StoreFault, match="Sentinel") as caught:
        judge([b"# Server\r\nredis_mode:sentinel\r\n", [], []])
    assert caught.value.refused


@pytest.mark.parametrize("version", ["2", "x", ""])
def test_the_data_of_another_version_are_refused_and_not_touched(redis, version):
    redis.ask("SET", "authbridge:version", version)
    assert "another version of authbridge" in refusal(redis.settings())
    assert redis.ask("GET", "authbridge:version") == version.encode()
    assert redis.ask("KEYS", "*") == [b"authbridge:version"]


def test_a_wrong_password_is_refused(start):
    server = start(password="Geheim")
    for settings in (
        server.settings(password="falsch"),
        server.settings(username="nobody"),
    ):
        words = refusal(settings)
        assert "refuses this user, or the password" in words
    nothing = RedisSettings("127.0.0.1", server.port, 0, False)
    assert "wants a password" in refusal(nothing)
    store = make(server.settings())
    store.open()
    assert "Geheim" not in store.name
    store.close()


def test_a_password_where_there_is_none_is_refused(redis):
    assert "refuses this user" in refusal(redis.settings(password="x"))


def test_a_database_that_is_not_there_is_refused(redis):
    assert "no database of this number" in refusal(redis.settings(db=99))


def test_databases_are_apart(redis, store):
    ask(store, NoteSeen(ALICE))
    other = make(redis.settings(db=1))
    other.open()
    assert ask(other, Seen(ALICE)) is False
    other.close()


# What is warned of


def test_a_redis_that_is_as_it_should_be_is_not_warned_of(redis):
    store = make(redis.settings())
    store.open()
    store.sweep(T0, T0)
    store.close()
    assert store.warnings == ()


def test_appendfsync_everysec_is_warned_of(redis):
    redis.ask("CONFIG", "SET", "appendfsync", "everysec")
    store = make(redis.settings())
    for _ in range(2):
        store.open()
        store.sweep(T0, T0)
    store.close()
    (words,) = store.warnings
    assert "everysec" in words


def test_a_rewrite_without_fsync_is_warned_of(start):
    store = make(start("--no-appendfsync-on-rewrite", "yes").settings())
    store.open()
    store.close()
    (words,) = store.warnings
    assert "no-appendfsync-on-rewrite" in words


def test_replicas_are_warned_of(start):
    master = start()
    start("--replicaof", "127.0.0.1", str(master.port), ready="MASTER <-> REPLICA sync: Finished")
    store = make(master.settings())
    store.open()
    store.close()
    (words,) = store.warnings
    assert "replicas" in words


LEAST = (
    "~authbridge:*",
    "+@read",
    "+@write",
    "+eval",
    "+evalsha",
    "+script|load",
    "+info",
    "+select",
)


def test_a_user_who_may_not_read_the_configuration_is_served(redis):
    redis.ask("ACL", "SETUSER", "few", "reset", "on", ">pw", *LEAST)
    store = make(redis.settings(username="few", password="pw"))
    store.open()
    ask(store, issue("t"))
    assert ask(store, consume("t")) is Reason.TOKEN_VALID
    store.sweep(T0, T0)
    store.close()
    (words,) = store.warnings
    assert "CONFIG GET is forbidden" in words


@pytest.mark.parametrize("missing", ["-info", "-script|load", "-get", "resetkeys"])
def test_a_user_who_may_too_little_is_refused(redis, missing):
    redis.ask("ACL", "SETUSER", "few", "reset", "on", ">pw", *LEAST, missing)
    assert "does not permit" in refusal(redis.settings(username="few", password="pw"))


# What goes wrong while it is used


def test_what_is_not_open_is_lost(redis):
    store = make(redis.settings())
    assert fault(store.run, [Seen(ALICE)], T0).lost
    assert fault(store.sweep, T0, T0).lost


def test_nobody_there_is_lost(start):
    server = start()
    server.stop()
    caught = fault(make(server.settings()).open)
    assert (caught.lost, caught.refused) == (True, False)
    assert caught.words == "cannot be reached: Connection refused"


def test_a_name_that_is_none_is_lost():
    settings = RedisSettings("redis.invalid", 6379, 0, False)
    assert fault(make(settings).open).words == "its name cannot be resolved"


def test_a_server_that_hangs_is_lost(start):
    server = start()
    store = make(server.settings())
    store.open()
    ask(store, issue("t"))
    server.process.pause()
    have_patience(store, SOON)
    caught = fault(store.run, [consume("t")], T0)
    assert (caught.lost, caught.refused) == (True, False)
    assert "has not answered" in caught.words
    assert "has not answered" in fault(store.open).words
    have_patience(store, PATIENCE)
    server.process.resume()
    store.open()
    # It may have been used: it is not known, and nobody gets in by it twice.
    assert ask(store, consume("t")) in {Reason.TOKEN_VALID, Reason.TOKEN_USED}
    assert ask(store, consume("t")) is Reason.TOKEN_USED
    store.close()


def test_what_was_used_stays_used_when_the_server_is_killed(start):
    server = start()
    store = make(server.settings())
    store.open()
    batch = [issue("t"), issue("u"), consume("t"), NoteSeen(ALICE)]
    store.run([*batch, Claim((), T0, ENDS, T0 + 60, b"c")], T0)
    server.process.kill()
    caught = fault(store.run, [consume("u")], T0)
    assert (caught.lost, caught.refused) == (True, False)
    server.start()
    store.open()
    assert store.mark == T0
    asked = [consume("t"), consume("u"), Claim((), T0, ENDS, T0 + 60, b"c"), Seen(ALICE)]
    used, valid = Reason.TOKEN_USED, Reason.TOKEN_VALID
    assert store.run(asked, T0) == [used, valid, used, True]
    store.close()


def test_a_connection_is_not_made_again_unseen(redis, store):
    redis.ask("CLIENT", "KILL", "TYPE", "normal")
    caught = fault(store.sweep, T0, T0)
    assert caught.lost
    assert fault(store.run, [Seen(ALICE)], T0).lost


def test_scripts_that_were_forgotten_are_lost_and_loaded_again(redis, store):
    ask(store, issue("t"))
    redis.ask("SCRIPT", "FLUSH")
    caught = fault(store.run, [consume("t")], T0)
    assert caught.lost
    assert "scripts" in caught.words
    store.open()
    assert ask(store, consume("t")) is Reason.TOKEN_VALID


def test_a_full_redis_refuses_writes_and_answers_questions(start):
    server = start()
    store = make(server.settings())
    store.open()
    store.run([issue("t"), issue("e", ttl=1.0), Claim((), T0, ENDS, T0 + 1, b"c")], T0)
    server.ask("CONFIG", "SET", "maxmemory", "1")
    for operation in (
        issue("u"),
        consume("t"),
        Revoke(id_("t")),
        Claim((), T0, ENDS, T0 + 60, b"d"),
    ):
        caught = fault(store.run, [operation], T0)
        assert (caught.lost, caught.refused) == (False, False)
        assert "maxmemory" in caught.words
    asked = [Peek(digest("t"), ALICE), Peek(digest("e"), ALICE), consume("u"), Seen(ALICE)]
    valid, expired = Reason.TOKEN_VALID, Reason.TOKEN_EXPIRED
    assert store.run(asked, T0 + 1) == [valid, expired, Reason.TOKEN_UNKNOWN, False]
    assert store.sweep(T0 + KEPT + 1, T0 + KEPT + 1) is False  # what is over makes room
    assert server.ask("EXISTS", "authbridge:claims") == 0
    assert not fault(store.sweep, T0 + KEPT + 2, T0 + KEPT + 2).lost
    store.close()
    store.open()  # for questions
    server.ask("CONFIG", "SET", "maxmemory", "0")
    assert ask(store, issue("v"), T0 + KEPT + 3).issued == T0 + KEPT + 3
    store.close()


def test_a_redis_that_becomes_a_replica_is_refused(start):
    server = start("--replica-serve-stale-data", "yes")
    store = make(server.settings())
    store.open()
    ask(store, issue("t"))
    server.ask("REPLICAOF", "127.0.0.1", "1")
    caught = fault(store.run, [consume("t")], T0)
    assert (caught.lost, caught.refused) == (True, True)
    assert "replica" in caught.words
    assert "is a replica" in refusal(server.settings())
    store.close()


def test_a_redis_that_is_told_to_forget_is_refused_by_the_next_sweep(start):
    server = start()
    store = make(server.settings())
    store.open()
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    caught = fault(store.sweep, T0, T0)
    assert (caught.lost, caught.refused) == (True, True)
    assert fault(store.run, [Seen(ALICE)], T0).lost


def test_of_several_faults_the_one_that_loses_it_counts(redis, store):
    redis.ask("SET", "authbridge:seen:example.org", "of another kind")
    caught = fault(store.run, [NoteSeen(ALICE), Seen(ALICE)], T0)
    assert caught.lost
    assert caught.words == "answers with an error (WRONGTYPE)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ERR Error running script (call to f_0a): @user_script:3: -OOM command not", "maxmemory"),
        ("MISCONF Redis is configured to", "on its disk"),
        ("ERR unknown command 'geheim', with args", "answers with an error (ERR)"),
        ("geheim", "answers with an error (no code)"),
    ],
)
def test_errors_are_told_without_their_text(text, words):
    told = fault_of(ResponseError(text)).words
    assert words in told
    assert "geheim" not in told


def test_no_room_for_another_client_is_lost(start):
    server = start("--maxclients", "1")
    first = make(server.settings())
    first.open()
    caught = fault(make(server.settings()).open)
    assert (caught.lost, caught.refused) == (True, False)
    assert "maxclients" in caught.words
    first.close()


class Talker(threading.Thread):
    """Says the same to whoever asks, whatever was asked."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(daemon=True)
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        peer, _ = self._listener.accept()
        with peer, self._listener:
            peer.recv(65536)
            peer.sendall(self._answer)
            peer.shutdown(socket.SHUT_WR)
            peer.recv(65536)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak as Redis does"),
        (b":x\r\n", "does not speak as Redis does"),
        (b"", "has closed the connection"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "is still loading its data"),
        (b"+OK\r\n$1\r\nx\r\n*0\r\n*0\r\n", "does not tell its server_mode"),
    ],
)
def test_what_is_no_redis_is_lost(answer, words):
    talker = Talker(answer)
    caught = fault(make(RedisSettings("127.0.0.1", talker.port, 0, False)).open)
    assert caught.lost
    assert words in caught.words
    talker.join(30)


# TLS


def test_tls_is_spoken_with_whom_the_authority_vouches_for(start, tmp_path):
    pki = make_pki(tmp_path / "pki", ["localhost"], ["127.0.0.1"])
    server = start(pki=pki, password="Geheim")
    for host in ("localhost", "127.0.0.1"):
        store = make(server.settings(host=host, ca_file=pki.ca))
        store.open()
        assert store.name.startswith("rediss://")
        ask(store, issue(host))
        assert ask(store, consume(host)) is Reason.TOKEN_VALID
        store.close()


def test_another_authority_is_refused(start, tmp_path, monkeypatch):
    pki = make_pki(tmp_path / "pki", ["localhost"])
    other = make_pki(tmp_path / "other", ["localhost"])
    server = start(pki=pki)
    words = refusal(server.settings(host="localhost", ca_file=other.ca))
    assert "its certificate is refused" in words
    # Those of the system count where there is no ca_file, and only there.
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca))
    words = refusal(server.settings(host="localhost", ca_file=other.ca))
    assert "its certificate is refused" in words
    store = make(server.settings(host="localhost"))
    store.open()
    store.close()


def test_a_certificate_for_another_name_is_refused(start, tmp_path):
    pki = make_pki(tmp_path / "pki", ["redis.example"])
    server = start(pki=pki)
    for host in ("localhost", "127.0.0.1"):
        words = refusal(server.settings(host=host, ca_file=pki.ca))
        assert "its certificate is refused" in words


def test_old_tls_is_not_spoken(start, tmp_path):
    pki = make_pki(tmp_path / "pki", ["localhost"])
    server = start("--tls-protocols", "TLSv1.1", pki=pki)
    caught = fault(make(server.settings(host="localhost", ca_file=pki.ca)).open)
    assert caught.lost


def test_tls_with_a_server_that_has_none_fails(redis, tmp_path):
    pki = make_pki(tmp_path / "pki", ["localhost"])
    settings = RedisSettings("localhost", redis.port, 0, True, ca_file=pki.ca)
    caught = fault(make(settings, timeout=SOON).open)
    assert caught.lost


def test_without_its_file_of_authorities_nothing_is_sent(redis, tmp_path):
    settings = RedisSettings("localhost", redis.port, 0, True, ca_file=tmp_path / "none")
    assert "No such file" in fault(make(settings).open).words


def test_tls_that_the_library_makes_by_itself_is_not_spoken(start, tmp_path, monkeypatch):
    """As it would, were a later version to call something else."""
    pki = make_pki(tmp_path / "pki", ["localhost"])
    server = start(pki=pki, password="Geheim")
    monkeypatch.setattr(
        redis_link._TlsConnection,
        "_wrap_socket_with_ssl",
        SSLConnection._wrap_socket_with_ssl,
    )
    # Nothing is said before: not even that the password is wrong.
    words = refusal(server.settings(host="localhost", password="falsch", ca_file=pki.ca))
    assert "this version of the Python library redis" in words
    monkeypatch.undo()
    store = make(server.settings(host="localhost", ca_file=pki.ca))
    store.open()
    store.close()
