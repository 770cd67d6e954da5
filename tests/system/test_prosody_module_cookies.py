"""EXTERNAL by the website's cookie, over WebSocket and BOSH, with a stand-in for authbridge."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .canary import secret
from .pki import Pki, make_pki
from .prosody_bridge import HANGING, Bridge, Reply, Request, decided
from .prosody_browsers import (
    CHALLENGE,
    SUCCESS,
    WAYS,
    Answer,
    BoshBrowser,
    Browser,
    begin,
    headers,
    respond,
)
from .prosody_module import HASTY, ModuleProsody
from .xmpp import Client

HOST = "cookie.example"
#: Whose logins wait for 2 s alone.
BRIEF = "brief.example"
#: Whose logins by cookie are switched off.
OFF = "off.example"
SITE = "https://www.cookie.example"
OTHER_SITE = "https://shop.cookie.example:8443"
ALICE = secret("sessionid=alice")
#: As a browser sends it, with what else it has.
COOKIE = b'theme="dark"; ' + ALICE + b"; _ga=GA1.2.3"
OUTAGE = "temporary-auth-failure"
REFUSED = Answer("not-authorized")

_OPTIONS = f"""
authbridge_cookie = true
authbridge_origins = {{ "{SITE}", "{OTHER_SITE}" }}
"""

Open = Callable[..., Browser]


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    return make_pki(workspace / "module-cookies-tls", [HOST, BRIEF, OFF])


@pytest.fixture(scope="module")
def shared_bridge() -> Iterator[Bridge]:
    with Bridge() as bridge:
        yield bridge


@pytest.fixture(scope="module")
def prosody(workspace: Path, pki: Pki, shared_bridge: Bridge) -> Iterator[ModuleProsody]:
    hosts = {HOST: "", BRIEF: HASTY, OFF: "authbridge_cookie = false"}
    server = ModuleProsody(
        workspace / "module-cookies", pki, hosts, shared_bridge.url, options=_OPTIONS
    )
    server.start()
    yield server
    server.stop()


def site(request: Request) -> Reply:
    """What authbridge answers where the site knows alice's cookie."""
    known = request.headers.get("cookie") == [COOKIE.decode()]
    if "user" not in request.query:
        return Reply(200, b"alice" if known else b"@")
    if known and request.user == "alice":
        return Reply(200, b"alice")
    return Reply(401, b"false", headers=(("WWW-Authenticate", 'Basic realm="authbridge"'),))


@pytest.fixture
def bridge(shared_bridge: Bridge) -> Iterator[Bridge]:
    shared_bridge.answer = site
    yield shared_bridge
    shared_bridge.reset()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(prosody: ModuleProsody, bridge: Bridge, way: str) -> Iterator[Open]:
    """Opens sessions as a page of the site does, with its cookie."""
    browsers: list[Browser] = []

    def open_one(
        cookie: bytes | None = COOKIE,
        origin: str | None = SITE,
        host: str = HOST,
        address: str = "",
    ) -> Browser:
        browsers.append(WAYS[way](prosody, host, headers(cookie, origin, address)))
        return browsers[-1]

    yield open_one
    for browser in browsers:
        browser.close()


def test_the_cookie_logs_its_user_in(opened: Open, bridge: Bridge) -> None:
    browser = opened(address="192.0.2.9")
    assert browser.mechanisms == {"EXTERNAL", "PLAIN", "OAUTHBEARER"}
    assert begin(browser, "EXTERNAL", b"alice@cookie.example") == Answer(SUCCESS)
    assert browser.enter().startswith("alice@cookie.example/")
    (asked,) = bridge.requests
    assert (asked.method, asked.path, asked.form) == ("GET", "/auth/cookie", {})
    assert asked.query == {"server": HOST, "user": "alice"}
    assert asked.headers["cookie"] == [COOKIE.decode()]
    assert asked.headers["x-forwarded-for"] == ["192.0.2.9"]
    assert asked.headers["authorization"][0].startswith("Basic ")


@pytest.mark.parametrize("authzid", [b"", b"=", HOST.encode(), HOST.upper().encode()])
def test_who_names_nobody_is_whom_the_cookie_names(
    opened: Open, bridge: Bridge, authzid: bytes
) -> None:
    browser = opened()
    assert begin(browser, "EXTERNAL", authzid) == Answer(SUCCESS)
    assert browser.enter().startswith("alice@cookie.example/")
    assert bridge.requests[0].query == {"server": HOST}


def test_who_sends_no_initial_response_is_asked_for_one(opened: Open, bridge: Bridge) -> None:
    browser = opened()
    assert begin(browser, "EXTERNAL", None) == Answer(CHALLENGE)
    assert bridge.requests == []
    assert respond(browser, b"alice@cookie.example") == Answer(SUCCESS)


def test_an_empty_response_names_nobody(opened: Open, bridge: Bridge) -> None:
    browser = opened()
    assert begin(browser, "EXTERNAL", None) == Answer(CHALLENGE)
    assert respond(browser, None) == Answer(SUCCESS)
    assert bridge.requests[0].query == {"server": HOST}


def test_the_second_listed_site_may_as_well(opened: Open) -> None:
    assert begin(opened(origin=OTHER_SITE), "EXTERNAL", b"") == Answer(SUCCESS)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "https://evil.example",
        "http://www.cookie.example",
        "https://www.cookie.example:443",
        "https://www.cookie.example:8443",
        "https://www.cookie.example/",
        "https://www.cookie.example.evil.example",
        "https://cookie.example",
        "HTTPS://WWW.COOKIE.EXAMPLE",
        f"{SITE}, {SITE}",
        f"{SITE} https://evil.example",
        "*",
    ],
)
def test_another_page_gets_nothing_out_of_the_cookie(
    opened: Open, bridge: Bridge, origin: str | None
) -> None:
    browser = opened(origin=origin)
    assert "EXTERNAL" not in browser.mechanisms
    for authzid in (b"", b"alice@cookie.example"):
        assert begin(browser, "EXTERNAL", authzid) == REFUSED
    assert bridge.requests == []


def test_the_log_names_the_page_that_is_not_listed(opened: Open, prosody: ModuleProsody) -> None:
    opened(origin="https://unlisted.example")
    assert "authbridge_origins" in prosody.logged("https://unlisted.example")


@pytest.mark.parametrize("cookie", [None, b"", b"sessionid=" + b"x" * 8192])
def test_without_a_cookie_or_with_a_huge_one_nobody_is_asked(
    opened: Open, bridge: Bridge, cookie: bytes | None
) -> None:
    browser = opened(cookie=cookie)
    assert "EXTERNAL" not in browser.mechanisms
    assert begin(browser, "EXTERNAL", b"alice@cookie.example") == REFUSED
    assert bridge.requests == []


@pytest.mark.parametrize("authzid", [b"", b"alice@cookie.example"])
def test_a_forged_cookie_is_refused(opened: Open, bridge: Bridge, authzid: bytes) -> None:
    browser = opened(cookie=b"sessionid=forged")
    assert "EXTERNAL" in browser.mechanisms
    assert begin(browser, "EXTERNAL", authzid) == REFUSED
    assert len(bridge.requests) == 1


def test_a_cookie_makes_nobody_another_user(opened: Open, bridge: Bridge) -> None:
    assert begin(opened(), "EXTERNAL", b"mallory@cookie.example") == REFUSED
    assert bridge.requests[0].user == "mallory"


def test_an_answer_about_somebody_else_is_no_yes(opened: Open, bridge: Bridge) -> None:
    bridge.answer = lambda request: Reply(200, b"alice")
    assert begin(opened(), "EXTERNAL", b"mallory@cookie.example") == REFUSED


@pytest.mark.parametrize(
    "authzid",
    [
        b"alice@other.example",
        b"alice@cookie.example/phone",
        b"other.example",
        b"alice",
        b"@cookie.example",
        b"al ice@cookie.example",
        b"alice@cookie.example\0",
        b"\xff@cookie.example",
    ],
)
def test_an_authzid_that_is_nobody_s_here_is_refused(
    opened: Open, bridge: Bridge, authzid: bytes
) -> None:
    assert begin(opened(), "EXTERNAL", authzid) == Answer("invalid-authzid")
    assert bridge.requests == []


@pytest.mark.parametrize(
    "body",
    [b"@", b"", b"alice\n", b"al ice", b"alice@cookie.example", b"alice/x", b"\xff", b"<html>"],
)
@pytest.mark.parametrize("authzid", [b"", b"alice@cookie.example"])
def test_an_answer_that_is_no_localpart_is_a_no(
    opened: Open, bridge: Bridge, authzid: bytes, body: bytes
) -> None:
    bridge.answer = lambda request: Reply(200, body)
    assert begin(opened(), "EXTERNAL", authzid) == REFUSED


def test_the_answer_is_prepared(opened: Open, bridge: Bridge) -> None:
    bridge.answer = lambda request: Reply(200, "ÇELIK".encode())
    browser = opened()
    assert begin(browser, "EXTERNAL", b"") == Answer(SUCCESS)
    assert browser.enter().startswith("çelik@cookie.example/")


@pytest.mark.parametrize("authzid", [b"", b"alice@cookie.example"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, b"unavailable"),
        Reply(500, b"alice"),
        Reply(204, b""),
        Reply(302, b"alice", headers=(("Location", "/login"),)),
        Reply(403, b"not allowed"),
        Reply(404, b""),
        # It is Prosody that authbridge does not know.
        Reply(401, b"credentials?", headers=(("WWW-Authenticate", 'Basic realm="authbridge"'),)),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Reply) else None,
)
def test_an_outage_is_none_of_the_cookie_s_faults(
    opened: Open, bridge: Bridge, reply: Reply, authzid: bytes
) -> None:
    bridge.answer = lambda request: reply
    browser = opened()
    assert begin(browser, "EXTERNAL", authzid) == Answer(OUTAGE)
    bridge.answer = site
    assert begin(browser, "EXTERNAL", authzid) == Answer(SUCCESS)


@pytest.mark.parametrize("authzid", ["", f"alice@{BRIEF}"])
def test_an_answer_that_does_not_come_is_an_outage_as_well(
    opened: Open, bridge: Bridge, authzid: str
) -> None:
    bridge.answer = lambda request: HANGING
    browser = opened(host=BRIEF)
    assert begin(browser, "EXTERNAL", authzid.encode()) == Answer(OUTAGE)
    bridge.asked("cookie")
    bridge.answer = site
    outcome = decided(lambda: begin(browser, "EXTERNAL", authzid.encode()), Answer(OUTAGE))
    assert outcome == Answer(SUCCESS)


def test_the_cookie_of_a_later_request_does_not_count(
    prosody: ModuleProsody, bridge: Bridge
) -> None:
    with BoshBrowser(prosody, HOST, headers(None, None)) as browser:
        browser.headers = headers(COOKIE, SITE)
        assert begin(browser, "EXTERNAL", b"alice@cookie.example") == REFUSED
    with BoshBrowser(prosody, HOST, headers(COOKIE, SITE)) as browser:
        browser.headers = {}
        assert begin(browser, "EXTERNAL", b"alice@cookie.example") == Answer(SUCCESS)
    assert len(bridge.requests) == 1


def test_a_host_without_it_offers_none_and_knows_none(opened: Open, bridge: Bridge) -> None:
    browser = opened(host=OFF)
    assert browser.mechanisms == {"PLAIN", "OAUTHBEARER"}
    assert begin(browser, "EXTERNAL", b"") == Answer("invalid-mechanism")
    assert bridge.requests == []


def test_without_http_there_is_no_such_login(
    prosody: ModuleProsody, pki: Pki, bridge: Bridge
) -> None:
    with Client(prosody.port, HOST, pki.ca) as client:
        assert client.mechanisms == {"PLAIN", "OAUTHBEARER"}
        assert begin(client, "EXTERNAL", b"") == Answer("invalid-mechanism")
    assert bridge.requests == []
