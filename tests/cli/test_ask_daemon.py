"""The control socket, as a command sees it."""

from __future__ import annotations

import json
import shutil
import socket
import threading

import pytest

from authbridge.cli.ask_daemon import NoDaemon, ask_daemon
from tests.cli.folders import short_folder


class Answering:
    """Answers one command with these octets, whatever it is."""

    def __init__(self, answer: bytes) -> None:
        self.folder = short_folder()
        self.path = f"{self.folder}/control.sock"
        self.asked = b""
        self._answer = answer
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        caller, _ = self._listening.accept()
        with caller, caller.makefile("rb") as lines:
            self.asked = lines.readline()
            caller.sendall(self._answer)

    def close(self) -> None:
        self._thread.join(60)
        self._listening.close()
        shutil.rmtree(self.folder)


@pytest.fixture
def answering():
    made = []

    def answer(octets):
        made.append(Answering(octets))
        return made[-1]

    yield answer
    for one in made:
        one.close()


def test_the_answer_is_what_the_daemon_says_on_one_line(answering):
    daemon = answering(b'{"error": "no"}\nmore')
    assert ask_daemon(daemon.path, {"jid": "ä"}, "wait") == {"error": "no"}
    assert json.loads(daemon.asked) == {"jid": "ä"}
    assert daemon.asked.endswith(b"}\n")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "the daemon serves its own user and root alone, or went away"),
        (b'{"error": "n', "what answers there is no authbridge, or went away meanwhile"),
        (b"220 mail.example.org ESMTP\n", "what answers there is no authbridge"),
        (b"\xff\n", "what answers there is no authbridge"),
        (b"[" * 100_000 + b"\n", "what answers there is no authbridge"),
        (b"[]\n", "what answers there is no authbridge"),
    ],
)
def test_what_is_no_answer_is_no_daemon(answering, answer, said):
    daemon = answering(answer)
    with pytest.raises(NoDaemon) as caught:
        ask_daemon(daemon.path, {}, "wait")
    assert str(caught.value).startswith(f"{daemon.path}: {said}")


def test_where_nobody_listens_it_is_said_what_to_do_instead(tmp_path):
    with pytest.raises(NoDaemon) as caught:
        ask_daemon(f"{tmp_path}/none", {}, "wait")
    assert str(caught.value) == f"{tmp_path}/none: No such file or directory; wait"
    with pytest.raises(NoDaemon, match="too long; wait"):
        ask_daemon("/" + "x" * 200, {}, "wait")
