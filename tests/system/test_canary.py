"""No secret of the run is in any log or on any command line."""

from pathlib import Path

import pytest

from . import canary, people
from .canary import CommandLines
from .daemon import Daemon
from .ejabberd import Ejabberd
from .prosody import Prosody
from .visitors import Visitors
from .xmpp import SESSION


@pytest.mark.parametrize("octets", [b"plain-secret", "gehe:im € \"'\\".encode(), b"\xff\x80octets"])
def test_search_finds_each_spelling_of_a_secret(octets: bytes) -> None:
    """What is looked for would be found."""
    search = canary.Search([b"another secret", octets])
    for spelling in canary.spellings(octets):
        haystack = b"a line with " + spelling + b" in it\n"
        assert (octets, spelling) in search.places(haystack)
    assert not list(search.places(b"a line without it\n"))


def test_no_secret_is_in_any_log(
    workspace: Path,
    daemon: Daemon,
    ejabberd: Ejabberd,
    prosody: Prosody,
    visitors: Visitors,
) -> None:
    """Of the daemon, its connectors, ejabberd and Prosody, all as they are by default."""
    for server in (ejabberd, prosody):
        assert visitors.login(server, "alice@example.org") == SESSION
    logs = canary.logs(workspace)
    assert {daemon.log, ejabberd.log, ejabberd.output, prosody.log} <= set(logs)
    contents = {log.relative_to(workspace): canary.lines(log.read_bytes()) for log in logs}
    search = canary.Search(canary.registered())
    found = [
        (str(log), octets[:40], spelling[:40])
        for log, content in contents.items()
        for octets, spelling in search.places(content)
    ]
    assert found == []


def test_no_secret_is_on_any_command_line(daemon: Daemon, command_lines: CommandLines) -> None:
    """Where every user of the machine could read it."""
    seen = command_lines.seen()
    assert str(daemon.configuration).encode() in seen
    assert list(canary.Search(canary.registered()).places(seen)) == []


def test_every_password_of_the_tests_is_looked_for() -> None:
    """But for the one that ejabberd's own API logs."""
    right = {people.password(jid) for jid in people.jids() if jid != "apis@example.org"}
    assert right <= set(canary.registered())
