"""The websites of docs/web-chat.md: the views that it shows, and what such a site has beside them:
a framework, a store of sessions, and people who are logged in."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from tests.recipes.document import write

from .canary import watched
from .ports import accepts, free_port
from .processes import Process
from .web_chat_examples import example

_DJANGO = """
import json
import sys
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import path

settings.configure(
    SECRET_KEY="of the tests",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["www.example.org", "testserver"],
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

from django.contrib.auth.models import User
from django.test import Client
from views import whoami

urlpatterns = [path("whoami", whoami)]
_, port, cookies, *names = sys.argv
sessions = {}
for name in names:
    client = Client()
    client.force_login(User.objects.create(username=name))
    sessions[name] = client.cookies["sessionid"].value
with open(cookies, "w") as file:
    json.dump(sessions, file)
make_server("127.0.0.1", int(port), get_wsgi_application()).serve_forever()
"""

_FLASK = """
import json
import sys
from wsgiref.simple_server import make_server

from flask import Flask
from whoami import who

_, port, cookies, *names = sys.argv
app = Flask(__name__)
app.secret_key = "of the tests"
app.register_blueprint(who)
signer = app.session_interface.get_signing_serializer(app)
with open(cookies, "w") as file:
    json.dump({name: signer.dumps({"user": name}) for name in names}, file)
make_server("127.0.0.1", int(port), app).serve_forever()
"""

_NODE = """
const { createServer } = require('node:http');
const { whoami } = require('./whoami');
createServer(whoami).listen(Number(process.argv[2]), '127.0.0.1');
"""

# A login is a file with the user's name, and no other names are files here.
_NODE_SESSION = """
const { readdirSync } = require('node:fs');
exports.loggedInUser = (request) => {
  const [, found] = /(?:^|; )sid=(\\w+)/.exec(request.headers.cookie ?? '') ?? [];
  const [name] = readdirSync(`${__dirname}/sessions`).filter((one) => one.endsWith(`.${found}`));
  return (name ?? '.').split('.')[0];
};
"""


class BackEnd:
    """One of the documented sites, running; with some users logged in."""

    def __init__(self, folder: Path, name: str, users: tuple[str, ...]) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(parents=True)
        self._found = folder / "cookies"
        self._sessions = {user: secrets.token_hex(16) for user in users}
        self._command = getattr(self, f"_{name}")(users)
        self._process: Process | None = None

    def _www(self, users: tuple[str, ...]) -> list[str]:
        write(self.folder / "views.py", example("python", "django"), {})
        program = write(self.folder / "site_of_ours.py", _DJANGO, {})
        return [sys.executable, str(program), str(self.port), str(self._found), *users]

    def _flask(self, users: tuple[str, ...]) -> list[str]:
        write(self.folder / "whoami.py", example("python", "Blueprint"), {})
        program = write(self.folder / "site_of_ours.py", _FLASK, {})
        return [sys.executable, str(program), str(self.port), str(self._found), *users]

    def _php(self, users: tuple[str, ...]) -> list[str]:
        write(self.folder / "pages" / "whoami.php", example("php", "session_start"), {})
        for user in users:
            # As PHP writes them: the name, a bar, and the value serialized.
            session = f'user|s:{len(user)}:"{user}";'
            write(self.folder / "sessions" / f"sess_{self._sessions[user]}", session, {})
        settings = ["-d", "display_errors=1", "-d", f"session.save_path={self.folder}/sessions"]
        where = ["-S", f"127.0.0.1:{self.port}", "-t", str(self.folder / "pages")]
        return ["php", *settings, *where]

    def _node(self, users: tuple[str, ...]) -> list[str]:
        write(self.folder / "whoami.js", example("js", "loggedInUser"), {})
        write(self.folder / "session.js", _NODE_SESSION, {})
        for user in users:
            write(self.folder / "sessions" / f"{user}.{self._sessions[user]}", "", {})
        return ["node", str(write(self.folder / "server.js", _NODE, {})), str(self.port)]

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._process = Process(self._command, self.folder / "site.out", folder=self.folder)
        self._process.wait_until_up(lambda: accepts(self.port), "the site accepts")

    def stop(self) -> None:
        """SIGKILL: not all of them know another way."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def cookie(self, user: str) -> str:
        """The value of the cookie of somebody who is logged in."""
        made: dict[str, str] = json.loads(self._found.read_text()) if self._found.exists() else {}
        return watched(made.get(user, self._sessions[user]).encode()).decode()
