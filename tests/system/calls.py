"""Questions to the daemon without an XMPP server: over HTTP, through the connector, by command."""

import asyncio
import base64
import http.client
import shlex
import subprocess
import sys
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

from .daemon import Daemon

BIN = Path(sys.executable).parent

YES, NO = (200, b"true"), (200, b"false")
#: The status of "cannot tell".
CANNOT_TELL = 503

Answer = tuple[int, bytes]
Question = tuple[str, bytes]


def headers_of(daemon: Daemon) -> dict[str, str]:
    """A request's, but for the length of its body."""
    credentials = base64.b64encode(daemon.http_auth_credentials.encode()).decode()
    return {
        "Authorization": f"Basic {credentials}",
        "Content-Type": "application/x-www-form-urlencoded",
    }


def form_of(jid: str, password: bytes | None) -> bytes:
    """A request's body."""
    local, _, domain = jid.rpartition("@")
    form = {"user": local.encode(), "server": domain.encode()}
    if password is not None:
        form["pass"] = password
    return urllib.parse.urlencode(form).encode()


def _call(daemon: Daemon, verb: str, jid: str, password: bytes | None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=90)
    try:
        connection.request("POST", f"/auth/{verb}", form_of(jid, password), headers_of(daemon))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check_password(daemon: Daemon, jid: str, password: bytes) -> Answer:
    """Status and body of /auth/check_password."""
    return _call(daemon, "check_password", jid, password)


def user_exists(daemon: Daemon, jid: str) -> Answer:
    """Status and body of /auth/user_exists."""
    return _call(daemon, "user_exists", jid, None)


def said(daemon: Daemon, jid: str) -> tuple[str, str]:
    """Verdict and reason of a user's last login."""
    login = daemon.logins(jid)[-1]
    return login["verdict"], login["reason"]


def extauth(daemon: Daemon, *words: bytes) -> bytes:
    """What the program that ejabberd starts answers, without the length before it."""
    frame = b":".join(words)
    with subprocess.Popen(
        shlex.split(daemon.extauth_program), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(len(frame).to_bytes(2, "big") + frame)
        program.stdin.flush()
        answer = program.stdout.read(4)
        # The end of its input would have been the end of its patience as well.
        program.stdin.close()
    assert answer[:2] == b"\0\2"
    return answer[2:]


def explain(daemon: Daemon, jid: str, password: bytes | None) -> subprocess.CompletedProcess[str]:
    """`authbridge explain`, asked of the running daemon."""
    command = [str(BIN / "authbridge"), "explain", jid]
    command += ["--control", str(daemon.folder / "run" / "control.sock")]
    command.append("--no-password" if password is None else "--password-stdin")
    given = "" if password is None else password.decode() + "\n"
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=300)


def probe(daemon: Daemon) -> subprocess.CompletedProcess[str]:
    """`authbridge check-config --probe`."""
    command = [str(BIN / "authbridge"), "check-config", "--probe", str(daemon.configuration)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )


def storm(
    daemon: Daemon, questions: Iterable[Question], connections: int
) -> list[tuple[Question, Answer]]:
    """Ask /auth/check_password all of them, over so many connections opened before the first."""
    return asyncio.run(_storm(daemon, iter(questions), connections))


async def _storm(
    daemon: Daemon, questions: Iterator[Question], connections: int
) -> list[tuple[Question, Answer]]:
    lines = [f"{name}: {value}\r\n" for name, value in headers_of(daemon).items()]
    head = f"POST /auth/check_password HTTP/1.1\r\nHost: 127.0.0.1\r\n{''.join(lines)}"
    answers: list[tuple[Question, Answer]] = []

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for jid, password in questions:
            form = form_of(jid, password)
            writer.write(f"{head}Content-Length: {len(form)}\r\n\r\n".encode() + form)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            status = int(answer.split()[1])
            answers.append(((jid, password), (status, await reader.readexactly(length))))
        writer.close()

    streams = [
        await asyncio.open_connection("127.0.0.1", daemon.http_port) for _ in range(connections)
    ]
    # As long as the slowest machine takes for the largest of them.
    async with asyncio.timeout(600), asyncio.TaskGroup() as visitors:
        for reader, writer in streams:
            visitors.create_task(come(reader, writer))
    return answers
