"""What becomes of a password change or a registration is what the servers report of it.

The authority is `on_demand`, since no directory refuses, fails and falls silent when it is told to.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import on_demand, people
from .canary import secret, unguarded
from .daemon import Daemon, write_private
from .ejabberd import Ejabberd
from .pki import Pki
from .prosody import Prosody
from .visitors import Server, Visitors
from .xmpp import CLOSED, SESSION

DOMAIN = people.ORG
OLD = secret("as-it-was")
REFUSED = "not-authorized"

_CHECKER = """
[domains."{domain}"]
check = ["demand"]

[checkers.demand]
kind = "kinds.on_demand"
initial_file = "{initial}"
"""


@pytest.fixture(scope="module")
def writing_daemon(workspace: Path) -> Iterator[Daemon]:
    """A daemon that can change passwords, for whoever is named."""
    folder = workspace / "writing-daemon"
    initial = folder / "initial"
    others = {DOMAIN: _CHECKER.format(domain=DOMAIN, initial=initial)}
    daemon = Daemon(folder, (), others=others)
    write_private(initial, OLD)
    (folder / "kinds").mkdir()  # the daemon's folder is where it looks for modules first
    shutil.copy(on_demand.__file__, folder / "kinds")
    configuration = daemon.configuration.read_text()
    allowed = configuration.replace('"user_exists"]', '"user_exists", "set_password", "register"]')
    assert allowed != configuration
    text = f'[authbridge]\ndeadline = "2s"\n\n{allowed}'
    write_private(daemon.configuration, text.encode())
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module", params=["ejabberd", "prosody"])
def writing_server(
    request: pytest.FixtureRequest, workspace: Path, pki: Pki, writing_daemon: Daemon
) -> Iterator[Server]:
    """Each of the servers that ask it."""
    folder = workspace / f"writing-{request.param}"
    server: Ejabberd | Prosody
    if request.param == "ejabberd":
        server = Ejabberd(folder, pki, [DOMAIN], writing_daemon.extauth_program)
    else:
        url, credentials = writing_daemon.http_auth_url, writing_daemon.http_auth_credentials
        server = Prosody(folder, pki, [DOMAIN], url, credentials)
    server.start()
    yield server
    server.stop()


def name_of(server: Server, beginning: str, ending: str) -> str:
    """A user of one server alone."""
    return f"{beginning}-{type(server).__name__.lower()}-{ending}"


@pytest.mark.parametrize("beginning", on_demand.OUTCOMES)
def test_password_change_is_reported_as_done_exactly_where_it_is(
    writing_server: Server, writing_daemon: Daemon, visitors: Visitors, beginning: str
) -> None:
    """The one that is not answered is made all the same: it must not be called done, nor refused;
    internal-server-error says neither."""
    user = name_of(writing_server, beginning, "old")
    jid, new = f"{user}@{DOMAIN}", secret("as-it-is-now")
    visitor = visitors.enter(writing_server, jid, OLD)
    told = visitor.register("set", username=user, password=new.decode())
    assert told == ("result" if beginning == "done" else "internal-server-error")
    line = writing_daemon.logins(jid)[-1]
    outcome = on_demand.OUTCOMES[beginning]
    assert (line["operation"], line["reason"]) == ("set_password", outcome.reason.value)
    made = beginning in ("done", "silent")
    assert visitors.login(writing_server, jid, new) == (SESSION if made else REFUSED)
    assert visitors.login(writing_server, jid, OLD) == (REFUSED if made else SESSION)


@pytest.mark.parametrize("beginning", on_demand.OUTCOMES)
def test_registration_is_reported_as_done_exactly_where_it_is(
    writing_server: Server, writing_daemon: Daemon, visitors: Visitors, beginning: str
) -> None:
    """An error otherwise."""
    user = name_of(writing_server, beginning, "new")
    jid, new = f"{user}@{DOMAIN}", secret("brand-new")
    newcomer = visitors.connect(writing_server, DOMAIN)
    told = newcomer.register("set", username=user, password=new.decode())
    unavailable = beginning in ("down", "silent")
    refused = {
        "Ejabberd": "internal-server-error" if unavailable else "not-allowed",
        "Prosody": "feature-not-implemented",
    }
    assert told == ("result" if beginning == "done" else refused[type(writing_server).__name__])
    assert writing_daemon.logins(jid)[-1]["operation"] == "register"
    made = beginning in ("done", "silent")
    assert visitors.login(writing_server, jid, new) == (SESSION if made else REFUSED)


def test_user_who_exists_is_not_registered_again(
    writing_server: Server, visitors: Visitors
) -> None:
    """The stranger gets a conflict, the user keeps his password."""
    user = name_of(writing_server, "done", "taken-old")
    newcomer = visitors.connect(writing_server, DOMAIN)
    stolen = secret("stolen")
    assert newcomer.register("set", username=user, password=stolen.decode()) == "conflict"
    assert visitors.login(writing_server, f"{user}@{DOMAIN}", stolen) == REFUSED
    assert visitors.login(writing_server, f"{user}@{DOMAIN}", OLD) == SESSION


def test_nobody_is_registered_while_nobody_can_tell_who_exists(
    writing_server: Server, writing_daemon: Daemon, visitors: Visitors
) -> None:
    """Prosody takes an outage for "no such user" and asks for the registration all the same."""
    user = name_of(writing_server, on_demand.UNSURE, "new")
    newcomer = visitors.connect(writing_server, DOMAIN)
    told = newcomer.register("set", username=user, password=secret("hasty").decode())
    answers = {"Ejabberd": "conflict", "Prosody": "feature-not-implemented"}
    assert told == answers[type(writing_server).__name__]
    assert {line["verdict"] for line in writing_daemon.logins(f"{user}@{DOMAIN}")} == {
        "unavailable"
    }


@pytest.mark.parametrize(
    "beginning",
    ["pässwörd ✓", "a b", "½ a pound", "no\N{NO-BREAK SPACE}break", "tab\there", "x" * 1024],
    ids=["plain", "blank", "half", "no-break", "tab", "long"],
)
def test_password_that_was_reported_as_set_logs_in(
    request: pytest.FixtureRequest, writing_server: Server, visitors: Visitors, beginning: str
) -> None:
    """Prosody sets any octets, and logs in with their SASLprep form, of 1023 octets at most."""
    form = request.node.callspec.id.rpartition("-")[2]
    user = name_of(writing_server, f"form-{form}", "old")
    jid, new = f"{user}@{DOMAIN}", secret(beginning)
    visitor = visitors.enter(writing_server, jid, OLD)
    told = visitor.register("set", username=user, password=new.decode())
    assert (told == "result") == (beginning in ("pässwörd ✓", "a b"))
    assert (visitors.login(writing_server, jid, new) == SESSION) == (told == "result")
    assert (visitors.login(writing_server, jid, OLD) == SESSION) == (told != "result")


def test_ejabberds_mod_register_closes_registration_alone(
    workspace: Path, pki: Pki, writing_daemon: Daemon, visitors: Visitors
) -> None:
    """With `access: none` whoever is logged in can still change his password."""
    ejabberd = Ejabberd(workspace / "closed", pki, [DOMAIN], writing_daemon.extauth_program)
    path = ejabberd.folder / "ejabberd.yml"
    path.write_text(path.read_text().replace("access: all\n", "access: none\n"))
    ejabberd.start()
    try:
        newcomer = visitors.connect(ejabberd, DOMAIN)
        password = secret("shut-out").decode()
        told = newcomer.register("set", username="done-closed-new", password=password)
        assert told == "forbidden"
        jid, new = f"done-closed-old@{DOMAIN}", secret("still-open")
        visitor = visitors.enter(ejabberd, jid, OLD)
        told = visitor.register("set", username="done-closed-old", password=new.decode())
        assert told == "result"
        assert visitors.login(ejabberd, jid, new) == SESSION
    finally:
        ejabberd.stop()


def test_ejabberds_cache_keeps_a_refused_registration_and_breaks_on_it(
    workspace: Path, pki: Pki, writing_daemon: Daemon, visitors: Visitors
) -> None:
    """One more reason for `auth_use_cache: false`: whoever comes by that name is thrown out."""
    ejabberd = Ejabberd(
        workspace / "keeping", pki, [DOMAIN], writing_daemon.extauth_program, use_cache=True
    )
    ejabberd.start()
    try:
        # What breaks ejabberd goes into its log, with the password that it was given.
        user, password = "unacceptable-cached-new", unguarded("cached")
        newcomer = visitors.connect(ejabberd, DOMAIN)
        told = newcomer.register("set", username=user, password=password.decode())
        assert told == "not-allowed"
        assert visitors.login(ejabberd, f"{user}@{DOMAIN}", password) == CLOSED
    finally:
        ejabberd.stop()
