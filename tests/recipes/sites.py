"""Websites with the back ends of docs/tokens.md, as they are there, with people who are logged in.

What the document leaves to the site (its settings, its sessions) is here, as short as can be.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from tests.recipes.document import example, write
from tests.system.ports import accepts, free_port
from tests.system.waiting import wait_until

CREDENTIALS = "/chat/credentials"


@dataclass(frozen=True)
class Answer:
    """What a back end has answered."""

    status: int
    content_type: str
    cache_control: str
    body: Any


def django(folder: Path, there: Mapping[str, str], users: list[str]) -> list[Answer]:
    """What it answers to each of them, through Django's test client; "" is logged in nowhere."""
    write(folder / "chat" / "__init__.py", "", {})
    write(folder / "chat" / "compact_token.py", example("python", "def compact_token"), {})
    write(folder / "chat" / "views.py", example("python", "django"), there)
    program = write(folder / "site_of_ours.py", _DJANGO, {})
    command = [sys.executable, str(program), CREDENTIALS, *users]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return [Answer(*found) for found in json.loads(done.stdout)]


_DJANGO = """
import json
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.urls import path

settings.configure(
    SECRET_KEY="of the tests",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["testserver"],
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
call_command("migrate", verbosity=0)

from chat.views import credentials
from django.contrib.auth.models import User
from django.test import Client

urlpatterns = [path("chat/credentials", credentials)]
answers = []
for name in sys.argv[2:]:
    client = Client()
    if name:
        client.force_login(User.objects.create(username=name))
    got = client.get(sys.argv[1])
    headers = got["Content-Type"], got["Cache-Control"]
    answers.append((got.status_code, *headers, json.loads(got.content)))
print(json.dumps(answers))
"""


def flask(folder: Path, there: Mapping[str, str], users: list[str]) -> list[Answer]:
    """The same, through Flask's test client."""
    from flask import Flask

    module = python(write(folder / "chat.py", example("python", "chat = Blueprint"), there))
    app = Flask(__name__)
    app.secret_key = "of the tests"
    app.register_blueprint(module.chat)
    answers = []
    for name in users:
        client = app.test_client()
        if name:
            with client.session_transaction() as session:
                session["user"] = name
        got = client.get(CREDENTIALS)
        headers = got.headers["Content-Type"], got.headers["Cache-Control"]
        answers.append(Answer(got.status_code, *headers, got.get_json()))
    return answers


def node(folder: Path, there: Mapping[str, str], users: list[str]) -> list[Answer]:
    """The same over HTTP; the cookie is the name."""
    port = free_port()
    write(folder / "session.js", _NODE_SESSION, {})
    there = {**there, "listen(8080": f"listen({port}"}
    program = write(folder / "server.js", example("js", "createServer"), there)
    with _serving(["node", str(program)], port):
        return [_get(port, CREDENTIALS, {"Cookie": quote(name)}) for name in users]


_NODE_SESSION = "exports.loggedInUser = (request) => decodeURIComponent(request.headers.cookie);\n"


def php(folder: Path, there: Mapping[str, str], users: list[str]) -> list[Answer]:
    """The same over HTTP, each with a session that PHP keeps."""
    port = free_port()
    write(folder / "compact_token.php", example("php", "function compact_token"), {})
    write(folder / "credentials.php", example("php", "session_start"), there)
    sessions = folder / "sessions"
    sessions.mkdir()
    for number, name in enumerate(users):
        # As PHP writes them: the name, a bar, and the value serialized.
        content = f'user|s:{len(name.encode())}:"{name}";' if name else ""
        write(sessions / f"sess_{number}", content, {})
    command = [
        "php",
        "-d",
        "display_errors=1",
        "-d",
        f"session.save_path={sessions}",
        "-S",
        f"127.0.0.1:{port}",
    ]
    with _serving([*command, "-t", str(folder)], port):
        return [
            _get(port, "/credentials.php", {"Cookie": f"PHPSESSID={number}"})
            for number in range(len(users))
        ]


def python(path: Path) -> ModuleType:
    """A module that is no part of any package."""
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _serving(command: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        try:
            wait_until(lambda: accepts(port) or server.poll() is not None, "a listening server")
            yield
        finally:
            server.kill()
            assert server.stderr
            said = server.stderr.read().decode()
            print(said)  # for whoever reads why a test failed


def _get(port: int, path: str, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        connection.request("GET", path, headers=dict(headers))
        got = connection.getresponse()
        kind, cache = got.headers["Content-Type"], got.headers["Cache-Control"]
        return Answer(got.status, kind, cache, json.loads(got.read()))
    finally:
        connection.close()
