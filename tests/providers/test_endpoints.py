"""Requests to the provider: over connections that are kept, to where it is now, and what comes of
one that cannot be reached."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from authbridge.model import TOKEN_VALID
from authbridge.secret import Secret
from tests.doubles import now
from tests.issuers.folders import said
from tests.ldap.certificates import ADDRESS, OTHER, OURS
from tests.ldap.certificates import NAME as HOST
from tests.providers.world import (
    ALICE,
    INTROSPECT,
    ISSUER,
    METADATA,
    OPAQUE,
    TOKEN,
    World,
    claims,
    says,
)

GOOD = says({"active": True, "token_type": "Bearer", **claims()})


def test_a_connection_is_kept_and_a_stale_one_is_no_outage(world):
    one = world(cache=0)
    one.sso.says[INTROSPECT] = GOOD
    assert one.login(OPAQUE) == TOKEN_VALID
    (kept,) = (server for server in one.network.servers if not server.lost)
    assert one.login(OPAQUE) == TOKEN_VALID
    assert [request.first[:4] for request in kept.requests] == ["POST", "POST"]
    # The provider closes it; what was sent meanwhile is sent once more, over another.
    one.sso.says[INTROSPECT] = None
    asked = one.begin(OPAQUE)
    one.sso.says[INTROSPECT] = GOOD
    kept.transport.loseConnection()
    one.network.settle()
    assert now(asked) == TOKEN_VALID


def test_a_question_that_gets_no_answer_ends_in_time(world, events):
    one = world()
    one.sso.says[INTROSPECT] = None
    asked = one.begin(OPAQUE)
    one.network.settle(3.9)
    assert not asked.called
    one.network.settle(0.1)
    assert now(asked).reason.value == "provider_unreachable"
    (line,) = _warned(events)
    assert line == f"provider {ISSUER}: https://{HOST}{INTROSPECT}: no whole answer in 4 s"


def test_a_question_whose_own_connection_is_cut_is_not_asked_again(world):
    one = world()
    one.sso.says[INTROSPECT] = None
    asked = one.begin(OPAQUE)
    one.network.open[-1].transport.loseConnection()
    one.network.settle()
    assert now(asked).reason.value == "provider_unreachable"
    assert len(one.sso.at(INTROSPECT)) == 1


def test_another_certificate_is_another_provider(world):
    one = world()
    one.tls = OTHER.issue(HOST)
    assert one.unavailable(OPAQUE) == "provider_unreachable"
    assert "the authority that signed the certificate is not trusted" in one.explain(OPAQUE)[-1][1]
    assert one.sso.at(INTROSPECT) == []
    one.tls = OURS.issue(HOST)
    one.sso.says[INTROSPECT] = GOOD
    assert one.login(OPAQUE) == TOKEN_VALID


def test_who_comes_before_the_metadata_waits_for_them(tmp_path):
    one = World(tmp_path)
    one.sso.says[METADATA] = None
    one.sso.says[INTROSPECT] = GOOD
    one.start()
    asked = one.begin(OPAQUE)
    assert not asked.called
    one.network.servers[0].transport.write(says(one.sso.metadata))
    one.network.settle()
    assert now(asked) == TOKEN_VALID
    one.end()


def test_who_waits_for_metadata_does_so_no_longer_than_for_an_answer(tmp_path):
    one = World(tmp_path, timeout="2s")
    one.sso.says[METADATA] = None
    one.start()
    asked = one.begin(OPAQUE)
    one.network.settle(1.9)
    assert not asked.called
    one.network.settle(0.1)
    assert now(asked).reason.value == "provider_unreachable"
    one.end()


def test_an_authority_that_is_gone_is_an_outage_that_names_its_file(tmp_path, events):
    one = World(tmp_path).start()
    for content, words in ((b"", "is no file of certificates in PEM any more"), (None, "No such")):
        if content is None:
            (tmp_path / "ca.pem").unlink()
        else:
            (tmp_path / "ca.pem").write_bytes(content)
        assert one.unavailable(OPAQUE) == "provider_unreachable"
        assert words in one.explain(OPAQUE)[-1][1]
        assert str(tmp_path / "ca.pem") in one.explain(OPAQUE)[-1][1]
    one.network.settle(900)
    assert any("; the metadata fetched before stay in force" in line for line in said(events))
    one.end()


def test_without_metadata_nobody_can_be_asked(tmp_path, events):
    one = World(tmp_path)
    one.sso.says[METADATA] = says(b"", "404 Not Found")
    one.start()
    assert one.unavailable(OPAQUE) == "provider_unreachable"
    words = one.explain(OPAQUE)[-1][1]
    assert words.startswith(f"{ISSUER}: {ISSUER}/.well-known/openid-configuration: the server")
    assert len(said(events)) == 1  # of the fetch; and a warning of the logins
    one.end()


def test_a_provider_that_was_never_started_is_not_asked(tmp_path):
    one = World(tmp_path)
    assert one.unavailable(OPAQUE) == "provider_unreachable"
    assert one.explain(OPAQUE)[-1] == ("fault", f"{ISSUER}: the metadata are not fetched yet")
    one.end()


def test_connections_to_where_the_provider_was_are_closed(world):
    one = world(cache=0)
    one.sso.says |= {INTROSPECT: GOOD, "/new": GOOD}
    assert one.login(OPAQUE) == TOKEN_VALID
    one.sso.metadata["introspection_endpoint"] = f"https://{HOST}/new"
    one.network.settle(899)
    assert one.login(OPAQUE) == TOKEN_VALID
    (kept,) = (server for server in one.network.servers if not server.lost)
    one.network.settle(1)
    assert one.login(OPAQUE) == TOKEN_VALID
    assert kept.lost
    assert one.sso.asked[-1][0] == "/new"


def test_who_gives_up_leaves_the_provider_alone(world):
    one = world(password_grant=True)
    one.sso.says |= {INTROSPECT: None, TOKEN: None}
    for secret in (OPAQUE, "wonderland"):
        asking = one.checker.check_password(ALICE, Secret(secret.encode()), None)
        asked = Deferred.fromCoroutine(asking)
        one.network.settle()
        (open_one,) = (server for server in one.network.servers if not server.lost)
        asked.addErrback(lambda _: None)
        asked.cancel()
        one.network.settle()
        assert open_one.lost


def test_the_daemons_end_is_the_end_of_every_question(world):
    one = world()
    one.sso.says[INTROSPECT] = None
    asked = one.begin(OPAQUE)
    one.provider.stop()
    one.network.settle()
    assert now(asked).reason.value == "provider_unreachable"


def test_an_outage_is_told_once_in_a_while_and_its_end(world, events):
    one = world()
    place = one.network.places.pop((ADDRESS, 443))
    for _ in range(3):
        asked = one.begin(OPAQUE)
        one.network.settle(1)
        assert now(asked).reason.value == "provider_unreachable"
    (line,) = _warned(events)
    assert line == f"provider {ISSUER}: https://{HOST}{INTROSPECT}: connection refused"
    one.network.places[ADDRESS, 443] = place
    one.network.settle(5)
    one.sso.says[INTROSPECT] = says({"active": False})
    assert one.refused(OPAQUE) == "token_inactive"
    assert _informed(events)[-1] == f"provider {ISSUER}: well again, after 7 s"


def _warned(events):
    return [line for line in _lines(events, "warn") if line.startswith("provider")]


def _informed(events):
    return [line for line in _lines(events, "info") if line.startswith("provider")]


def _lines(events, level):
    return said(events, LogLevel.lookupByName(level))
