"""Tokens of a website, tokens of an OpenID provider, a database and a directory on one domain: who
is asked, who is not, and what becomes of it while one of them is away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authbridge.model import Reason

from . import oidc_provider, signers
from .authorities_chain import (
    AMY,
    AT_PROVIDER,
    AWAY,
    BOTH,
    DOMAIN,
    DORA,
    IN_DATABASE,
    NO_,
    OFF,
    PASSWORDS,
    UNKNOWN,
    YES_,
    Step,
    Walk,
    World,
)
from .calls import CANNOT_TELL, NO, YES, explain, user_exists
from .daemon import Daemon
from .directory import ALICE, BOB, CAROL
from .ejabberd import Ejabberd
from .pki import Pki, make_pki
from .prosody import Prosody
from .test_directory_explained import steps
from .test_directory_logins import REFUSED
from .visitors import Visitors
from .xmpp import SESSION

#: A password is no token.
NOT_SITE: Step = ("site", "not_applicable", "no_checker")
NOT_PROVIDER: Step = ("provider", "not_applicable", "no_checker")
NOT_IN_DATABASE: Step = ("accounts", UNKNOWN, "user_unknown")
NOT_IN_DIRECTORY: Step = ("corp", UNKNOWN, "user_unknown")
DATABASE_AWAY: Step = ("accounts", AWAY, "database_unreachable")
DIRECTORY_AWAY: Step = ("corp", AWAY, "directory_unreachable")


@pytest.fixture(scope="module")
def shared_world(workspace: Path) -> Iterator[World]:
    with World(workspace / "chain") as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    yield shared_world
    shared_world.restore()


@pytest.fixture
def daemon(world: World) -> Daemon:
    return world.daemon


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    return make_pki(workspace / "chain-tls", [DOMAIN, PASSWORDS])


@pytest.fixture(scope="module")
def chain_ejabberd(workspace: Path, pki: Pki, shared_world: World) -> Iterator[Ejabberd]:
    program = shared_world.daemon.extauth_program
    server = Ejabberd(workspace / "chain-ejabberd", pki, [DOMAIN, PASSWORDS], program)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chain_prosody(workspace: Path, pki: Pki, shared_world: World) -> Iterator[Prosody]:
    daemon = shared_world.daemon
    url, credentials = daemon.http_auth_url, daemon.http_auth_credentials
    server = Prosody(workspace / "chain-prosody", pki, [DOMAIN, PASSWORDS], url, credentials)
    server.start()
    yield server
    server.stop()


def jid(user: str, host: str = DOMAIN) -> str:
    return f"{user}@{host}"


def check_walks(world: World, host: str, *walks: Walk) -> None:
    """Of logins of users with passwords: who is asked, each with what it says; and the end."""
    for user, password, asked, end in walks:
        assert world.walk(jid(user, host), password) == (asked, end), user


def last(*asked: Step) -> tuple[list[Step], Step]:
    """Who is asked, of whom the last one has the last word."""
    return list(asked), asked[-1]


def of_tokens(world: World) -> list[Walk]:
    """Good and bad ones, which end where they are recognised."""
    alice, provider = ALICE.local, world.provider
    site = signers.jwt(jid(alice))
    expired = signers.jwt(jid(alice), iat=0, exp=1)
    elsewhere = provider.issue(alice, oidc_provider.OPAQUE_ELSEWHERE).access
    return [
        (alice, site, *last(("site", YES_, "token_valid"))),
        (alice, expired, *last(("site", NO_, "token_expired"))),
        (alice, world.token(alice), *last(("provider", YES_, "token_valid"))),
        (alice, elsewhere, *last(("provider", NO_, "token_audience_wrong"))),
        (alice, world.token(AMY), *last(("provider", NO_, "token_user_wrong"))),
        (DORA, world.token(DORA), *last(("provider", YES_, "token_valid"))),
    ]


def of_database() -> list[Walk]:
    """Passwords of whom the database has, which end there."""
    found = {
        (AMY, IN_DATABASE[AMY]): (YES_, "password_matches"),
        (AMY, AT_PROVIDER[AMY]): (NO_, "password_mismatch"),
        (BOTH, IN_DATABASE[BOTH]): (YES_, "password_matches"),
        # The directory's, which is not asked.
        (BOTH, BOB.password): (NO_, "password_mismatch"),
        (OFF, IN_DATABASE[OFF]): (NO_, "account_disabled"),
        (OFF, b"wrong"): (NO_, "password_mismatch"),
    }
    return [
        (user, password, *last(NOT_SITE, NOT_PROVIDER, ("accounts", *end)))
        for (user, password), end in found.items()
    ]


def of_directory() -> list[Walk]:
    """Those of whom it has not."""
    before = (NOT_SITE, NOT_PROVIDER, NOT_IN_DATABASE)
    nobody = ("corp", NO_, "user_unknown")
    return [
        (CAROL.local, CAROL.password, *last(*before, ("corp", YES_, "password_matches"))),
        (CAROL.local, b"wrong", *last(*before, ("corp", NO_, "password_mismatch"))),
        # Nobody is left.
        (DORA, AT_PROVIDER[DORA], [*before, NOT_IN_DIRECTORY], nobody),
    ]


def test_each_is_asked_until_one_of_them_knows(world: World) -> None:
    check_walks(world, DOMAIN, *of_tokens(world), *of_database(), *of_directory())


def test_database_that_is_away_hides_behind_a_yes_of_the_directory_alone(world: World) -> None:
    world.database.hide()
    before = (NOT_SITE, NOT_PROVIDER, DATABASE_AWAY)
    check_walks(
        world,
        DOMAIN,
        (CAROL.local, CAROL.password, *last(*before, ("corp", YES_, "password_matches"))),
        # It might be the database's.
        (CAROL.local, b"wrong", [*before, ("corp", NO_, "password_mismatch")], DATABASE_AWAY),
        (BOTH, BOB.password, *last(*before, ("corp", YES_, "password_matches"))),
        (AMY, IN_DATABASE[AMY], [*before, NOT_IN_DIRECTORY], DATABASE_AWAY),
        (AMY, b"wrong", [*before, NOT_IN_DIRECTORY], DATABASE_AWAY),
        *of_tokens(world),
    )
    world.database.restore()
    check_walks(world, DOMAIN, *of_database()[:2])


def test_directory_that_is_away_is_missed_by_whom_the_database_does_not_know(
    world: World,
) -> None:
    world.slapd.kill()
    before = (NOT_SITE, NOT_PROVIDER, NOT_IN_DATABASE)
    check_walks(
        world,
        DOMAIN,
        (CAROL.local, CAROL.password, *last(*before, DIRECTORY_AWAY)),
        (CAROL.local, b"wrong", *last(*before, DIRECTORY_AWAY)),
        *of_database(),
    )
    world.database.hide()
    both = [NOT_SITE, NOT_PROVIDER, DATABASE_AWAY, DIRECTORY_AWAY]
    check_walks(
        world,
        DOMAIN,
        (CAROL.local, CAROL.password, both, DATABASE_AWAY),
        (AMY, IN_DATABASE[AMY], both, DATABASE_AWAY),
        *of_tokens(world)[:3],
    )


def test_provider_that_is_away_is_missed_by_its_tokens_alone(world: World) -> None:
    alice = ALICE.local
    token = world.token(alice)
    site, expired = of_tokens(world)[:2]
    world.provider.kill()
    check_walks(
        world,
        DOMAIN,
        (alice, token, *last(("provider", AWAY, "provider_unreachable"))),
        site,
        expired,
        *of_database()[:2],
        *of_directory()[:2],
    )


def test_token_whose_keys_are_away_is_nobody_else_s(world: World) -> None:
    abroad = signers.jwt(
        jid(AMY), by=signers.key("ES256", "abroad"), iss=signers.ABROAD, header={"kid": None}
    )
    check_walks(world, DOMAIN, (AMY, abroad, *last(("site", AWAY, "keys_unavailable"))))


def test_password_that_nobody_knows_is_the_provider_s_in_the_end(world: World) -> None:
    before = (NOT_SITE, NOT_IN_DATABASE)
    yes, no = ("grants", YES_, "password_matches"), ("grants", NO_, "password_mismatch")
    away = ("grants", AWAY, "provider_unreachable")
    right, wrong = (DORA, AT_PROVIDER[DORA]), (DORA, b"wrong")
    check_walks(
        world,
        PASSWORDS,
        (*right, *last(*before, NOT_IN_DIRECTORY, yes)),
        (*wrong, *last(*before, NOT_IN_DIRECTORY, no)),
        # The directory's word is the last one, whatever the provider would say.
        (
            ALICE.local,
            AT_PROVIDER[ALICE.local],
            *last(*before, ("corp", NO_, "password_mismatch")),
        ),
    )
    world.slapd.pause()
    silent = ("corp", AWAY, "directory_silent")
    check_walks(
        world,
        PASSWORDS,
        (*right, *last(*before, silent, yes)),
        (*wrong, [*before, silent, no], silent),
    )
    world.slapd.resume()
    world.await_directory()
    world.provider.kill()
    check_walks(world, PASSWORDS, (*right, *last(*before, NOT_IN_DIRECTORY, away)))
    world.database.hide()
    check_walks(
        world,
        PASSWORDS,
        (*right, [NOT_SITE, DATABASE_AWAY, NOT_IN_DIRECTORY, away], DATABASE_AWAY),
    )


def test_each_is_in_the_words_of_the_command(world: World, daemon: Daemon) -> None:
    world.database.hide()
    told = steps(explain(daemon, jid(CAROL.local), b"wrong").stdout)
    assert told["checker site"] == f"not_applicable: {Reason.NO_CHECKER.words}"
    assert told["checker accounts"] == f"unavailable: {Reason.DATABASE_UNREACHABLE.words}"
    assert told["checker corp"] == f"rejected: {Reason.PASSWORD_MISMATCH.words}"
    assert told["→ extauth"] == "00 02 00 02"


def test_user_exists_where_one_of_them_has_him(world: World, daemon: Daemon) -> None:
    assert [user_exists(daemon, jid(user)) for user in (AMY, OFF, CAROL.local)] == [YES] * 3
    # A provider knows nobody who does not log in.
    assert [user_exists(daemon, jid(user)) for user in (DORA, "nobody")] == [NO] * 2
    world.database.hide()
    assert user_exists(daemon, jid(CAROL.local)) == YES
    assert user_exists(daemon, jid(AMY))[0] == CANNOT_TELL


def test_users_of_each_log_in_at_ejabberd_and_prosody(
    world: World, chain_ejabberd: Ejabberd, chain_prosody: Prosody, visitors: Visitors
) -> None:
    amy, carol = (AMY, IN_DATABASE[AMY]), (CAROL.local, CAROL.password)
    alice = ALICE.local
    tokens = ((alice, signers.jwt(jid(alice))), (DORA, world.token(DORA)))
    for server in (chain_ejabberd, chain_prosody):
        for user, password in (*tokens, amy, carol):
            assert visitors.login(server, jid(user), password) == SESSION
        for user, password in ((AMY, world.token(DORA)), (AMY, CAROL.password), (DORA, b"x")):
            assert visitors.login(server, jid(user), password) == REFUSED
        dora = jid(DORA, PASSWORDS)
        assert visitors.login(server, dora, AT_PROVIDER[DORA]) == SESSION
    world.database.hide()
    for server in (chain_ejabberd, chain_prosody):
        for user, password in (*tokens, carol):
            assert visitors.login(server, jid(user), password) == SESSION
        assert visitors.login(server, jid(amy[0]), amy[1]) == REFUSED
