"""Ways to change a password, or to register: what each is told, in a few words."""

from collections.abc import Mapping
from dataclasses import dataclass

from . import calls
from .canary import secret, unguarded
from .daemon import Daemon
from .xmpp_servers import XmppServers

#: A call of `listen.http`; in-band at ejabberd (XEP-0077); by ejabberd's commands, here through its
#: API: their arguments are for all to see; in-band at Prosody.
WAYS = ("http", "ejabberd", "command", "prosody")
#: Those that a user goes himself.
IN_BAND = ("ejabberd", "prosody")

#: What each says of a change that was made, and of one that was not, whyever.
CHANGED: Mapping[str, str] = {
    "http": "200 true",
    "ejabberd": "result",
    "command": "200 0",
    "prosody": "result",
}
NOT_CHANGED: Mapping[str, str] = {
    "ejabberd": "internal-server-error",
    "command": '400 "db_failure"',
    "prosody": "internal-server-error",
}
#: The same of registrations, and of one whose name is taken. Of the API's it is the status.
REGISTERED: Mapping[str, str] = {**CHANGED, "http": "201 true", "command": "200"}
NOT_REGISTERED: Mapping[str, str] = {
    "ejabberd": "not-allowed",
    "command": "500",
    "prosody": "feature-not-implemented",
}
TAKEN: Mapping[str, str] = {
    "http": "409 there is such a user already",
    "ejabberd": "conflict",
    "command": "409",
    "prosody": "conflict",
}
#: What a call is told where that cannot be told, or cannot be done; a refusal has its reason.
UNAVAILABLE, NOT_DONE = "503 unavailable", "501 nobody here can do that"


def new_password(way: str = "http", text: str = "as-it-is-now") -> bytes:
    """One that nobody has. ejabberd's API writes what it is given into ejabberd's log."""
    return unguarded(text) if way == "command" else secret(text)


@dataclass(frozen=True)
class Changes:
    """Goes all ways; without servers, that of calls alone."""

    daemon: Daemon
    servers: XmppServers | None = None

    def set_password(self, way: str, jid: str, old: bytes, new: bytes) -> str:
        """What is told who gives this user a password; `old` is for those who have to log in."""
        local, _, domain = jid.rpartition("@")
        if way == "http":
            return self._call("set_password", jid, new)
        assert self.servers is not None
        if way in IN_BAND:
            with self.servers.enter(way, jid, old) as client:
                return client.register("set", username=local, password=new.decode())
        api = self.servers.ejabberd.api
        status, body = api("change_password", user=local, host=domain, newpass=new.decode())
        return f"{status} {body}"

    def register(self, way: str, jid: str, password: bytes) -> str:
        """What is told who registers this user."""
        local, _, domain = jid.rpartition("@")
        if way == "http":
            return self._call("register", jid, password)
        assert self.servers is not None
        if way in IN_BAND:
            with self.servers.connect(way, domain) as client:
                return client.register("set", username=local, password=password.decode())
        api = self.servers.ejabberd.api
        status, _ = api("register", user=local, host=domain, password=password.decode())
        return str(status)

    def _call(self, verb: str, jid: str, password: bytes) -> str:
        status, body = calls._call(self.daemon, verb, jid, password)
        text = body.decode()
        return f"{status} {text.partition(':')[0]}"
