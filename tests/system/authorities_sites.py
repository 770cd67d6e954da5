"""Websites with what docs/authorities.md shows for them, behind an nginx with TLS."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .authorities_examples import ROOT, example
from .daemon import write_private
from .nginx import Nginx
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process

_SERVER = """
server {{
    listen 127.0.0.1:{port} ssl;
    server_name localhost;
    ssl_certificate {pki.certificate};
    ssl_certificate_key {pki.key};
    location / {{
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_pass http://127.0.0.1:{behind};
    }}
}}
"""


class Site:
    """A program that speaks HTTP, and nginx before it."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.folder = folder
        self.port, self.behind = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        server = _SERVER.format(port=self.port, behind=self.behind, pki=pki)
        self._nginx = Nginx(folder / "nginx", [self.port], server)
        self._process: Process | None = None

    def start(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start both; the program has to listen at `behind`."""
        self._process = Process(
            command,
            self.folder / "site.log",
            environment={**os.environ, **(environment or {})},
            folder=self.folder,
        )
        self._process.wait_until_up(lambda: accepts(self.behind), "the site accepts")
        self._warm_up()
        self._nginx.start()

    def _warm_up(self) -> None:
        """A program's first answer, of which it is most of the time that it reads its pages. There
        may be no such page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=90)
        try:
            connection.request("GET", "/nothing", headers={"Host": "localhost"})
            connection.getresponse()
        finally:
            connection.close()

    def stop(self) -> None:
        """Stop both."""
        self._nginx.stop()
        if self._process is not None:
            self._process.stop()


_DJANGO_SETTINGS = """
from pathlib import Path

FOLDER = Path(__file__).parent
SECRET_KEY = "of the tests"
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}}
USE_TZ = True
# The passwords of a test are worth no second of everybody's time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""


def django(folder: Path, pki: Pki, users: Mapping[str, bytes], secret_file: Path) -> Site:
    """With the documented urls.py, and the files of examples/django that it names; running."""
    site = Site(folder, pki)
    urls = example("python", "accounts.check")
    setting = urls.splitlines()[0].partition("settings.py: ")[2]
    setting = setting.replace("/srv/www/check-secret", str(secret_file))
    write_private(folder / "urls.py", urls.encode())
    write_private(folder / "settings.py", f"{_DJANGO_SETTINGS}{setting}\n".encode())
    for name in ("__init__.py", "accounts.py", "people.py"):
        content = (ROOT / "examples" / "django" / "chat" / name).read_bytes()
        write_private(folder / "chat" / name, content)
    environment = {
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    make = (
        "import django, json, sys; django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('migrate', verbosity=0)\n"
        "from django.contrib.auth.models import User\n"
        "for name, password in json.load(sys.stdin).items():\n"
        "    User.objects.create_user(name, password=password)\n"
    )
    _run([sys.executable, "-c", make], folder, environment, _texts(users))
    command = [sys.executable, "-m", "django", "runserver", "--noreload"]
    site.start([*command, f"127.0.0.1:{site.behind}"], environment)
    return site


def php(folder: Path, pki: Pki, users: Mapping[str, bytes], there: Mapping[str, str]) -> Site:
    """With the documented check-password.php; running. `there`: what stands in it, what here."""
    site = Site(folder, pki)
    page = example("php", "password_verify")
    for shown, here in there.items():
        assert shown in page
        page = page.replace(shown, here)
    write_private(folder / "www" / "check-password.php", page.encode())
    make = (
        "foreach (json_decode(stream_get_contents(STDIN), true) as $name => $password) "
        "$all[$name] = password_hash($password, PASSWORD_DEFAULT); var_export($all);"
    )
    hashes = _run(["php", "-r", make], folder, {}, _texts(users))
    # Accounts are found whatever the capitals, as by many databases.
    users_of_the_site = (
        "<?php function account(string $asked): ?array {"
        f" foreach ({hashes} as $name => $hash)"
        " if (strtolower($name) === strtolower($asked)) return ['name' => $name, 'hash' => $hash];"
        " return null; }\n"
    )
    write_private(folder / "www" / "users.php", users_of_the_site.encode())
    site.start(["php", "-S", f"127.0.0.1:{site.behind}", "-t", str(folder / "www")])
    return site


def _texts(users: Mapping[str, bytes]) -> dict[str, str]:
    return {name: password.decode() for name, password in users.items()}


def _run(command: list[str], folder: Path, environment: Mapping[str, str], given: Any) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
