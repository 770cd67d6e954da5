"""What the servers do with `isuser` and `user_exists`: mail for who is not there."""

import pytest

from . import people
from .canary import unguarded
from .daemon import Daemon
from .ejabberd import Ejabberd
from .visitors import Server, Visitors
from .xmpp import Client, condition, local

BOB = "bob@example.org"
JULIET = "juliet@example.org"
GHOST = "ghost@example.org"


def bounce(client: Client, to: str, text: str) -> str:
    """Send a message; the condition of the error that came back at once, "" if none did."""
    client.message(to, text)
    client.synchronise()
    errors = [s for s in client.inbox if local(s) == "message" and s.get("type") == "error"]
    client.inbox.clear()
    return condition(errors[0]) if errors else ""


def waiting_messages(visitors: Visitors, server: Server, jid: str) -> list[str]:
    """The messages a user finds when he logs in."""
    client = visitors.enter(server, jid)
    client.synchronise()
    bodies = [s.findtext("{jabber:client}body") for s in client.inbox if local(s) == "message"]
    return [body or "" for body in bodies]


def test_message_to_an_offline_user_is_kept_for_him(
    server: Server, visitors: Visitors, daemon: Daemon
) -> None:
    """The server has asked, and has heard that he exists."""
    text = "until you are back"
    assert bounce(visitors.enter(server, BOB), JULIET, text) == ""
    assert daemon.logins(JULIET)[-1]["operation"] == "user_exists"
    assert waiting_messages(visitors, server, JULIET) == [text]


def test_message_to_an_unknown_user_comes_back(
    server: Server, visitors: Visitors, daemon: Daemon
) -> None:
    """There is nobody to keep it for."""
    assert bounce(visitors.enter(server, BOB), GHOST, "boo") == "service-unavailable"
    assert daemon.logins(GHOST)[-1]["reason"] == "user_unknown"


def test_subscription_request_reaches_an_offline_user(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """At his next login."""
    bob = visitors.enter(ejabberd, BOB)
    bob.presence(f"type='subscribe' to='{JULIET}'")
    bob.synchronise()
    juliet = visitors.enter(ejabberd, JULIET)
    juliet.synchronise()
    requests = [s for s in juliet.inbox if s.get("type") == "subscribe"]
    assert [request.get("from") for request in requests] == [BOB]
    juliet.presence(f"type='unsubscribed' to='{BOB}'")
    juliet.synchronise()


def test_ejabberdctl_knows_who_exists(ejabberd: Ejabberd, daemon: Daemon) -> None:
    """check_account: 0 for a user, 1 for nobody."""
    assert ejabberd.ctl("check_account", "bob", people.ORG)[0] == 0
    assert ejabberd.ctl("check_account", "ghost", people.ORG)[0] == 1
    assert ejabberd.ctl("check_account", "bob", people.NET)[0] == 1


@pytest.mark.parametrize(
    ("user", "password", "answer"),
    [
        ("apis", people.password("apis@example.org"), "0"),
        ("apis", unguarded("not-apis"), "1"),
        ("ghost", unguarded("nobodys"), "1"),
    ],
)
def test_check_password_of_the_api_is_a_login(
    ejabberd: Ejabberd, daemon: Daemon, user: str, password: bytes, answer: str
) -> None:
    """0 is yes."""
    found = ejabberd.api("check_password", user=user, host=people.ORG, password=password.decode())
    assert found == (200, answer)
