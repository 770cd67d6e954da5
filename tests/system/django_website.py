"""examples/django as the website that authbridge asks about passwords: the site itself, and nginx
with TLS before it, as one would run it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .canary import secret
from .daemon import write_private
from .django_site import EXAMPLE
from .nginx import Nginx
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process

HOST = "www.site.example"

# The passwords of a test are worth no second of everybody's time.
_SETTINGS = """\
from website.settings import *
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""

_USERS = """\
import json, sys
from django.contrib.auth.models import User
for name, password in json.load(sys.stdin).items():
    User.objects.create_user(name, password=password)
User.objects.filter(username="gone").update(is_active=False)
"""

_SITE = """
upstream django {{
    server 127.0.0.1:{django};
}}
server {{
    listen 127.0.0.1:{port} ssl;
    server_name {host};
    ssl_certificate {pki.certificate};
    ssl_certificate_key {pki.key};
    location / {{
        proxy_pass http://django;
        proxy_set_header Host $http_host;
    }}
}}
"""


class DjangoWebsite:
    """Both; each may be stopped and started alone."""

    def __init__(self, folder: Path, pki: Pki, users: Mapping[str, bytes]) -> None:
        """`users`: name to password; "gone" is one who may not log in any more."""
        self.folder = folder
        self.port, self._django_port = free_port(), free_port()
        self.secret = secret("website")
        self.log = folder / "django.log"
        self._django: Process | None = None
        write_private(folder / "site" / "secret-key", secret("of-the-site"))
        write_private(folder / "site" / "check-secret", self.secret + b"\n")
        (folder / "quick.py").write_text(_SETTINGS)
        self._environment = {
            **os.environ,
            "SITE_FOLDER": str(folder / "site"),
            "SITE_ORIGINS": f"https://{HOST}",
            "DJANGO_SETTINGS_MODULE": "quick",
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        site = _SITE.format(django=self._django_port, port=self.port, host=HOST, pki=pki)
        self.nginx = Nginx(folder / "nginx", [self.port], site)
        self._manage("migrate", "--verbosity", "0")
        given = json.dumps({name: password.decode() for name, password in users.items()})
        self._manage("shell", "--verbosity", "0", "-c", _USERS, given=given)

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def django(self) -> Process:
        """The site itself; for `pause` and `resume`."""
        assert self._django is not None, "the website is not started"
        return self._django

    def start_django(self) -> None:
        """The site itself."""
        command = [str(EXAMPLE / "manage.py"), "runserver", "--noreload"]
        self._django = Process(
            [sys.executable, *command, f"127.0.0.1:{self._django_port}"],
            self.log,
            environment=self._environment,
            folder=self.folder,
        )
        self._django.wait_until_up(self._answers, "the website answers")

    def _answers(self) -> bool:
        """It accepts, and has read its pages: of the first answer that is most of the time."""
        connection = http.client.HTTPConnection("127.0.0.1", self._django_port, timeout=90)
        try:
            connection.request("GET", "/login", headers={"Host": HOST})
            return connection.getresponse().status == 200
        except ConnectionError:
            return False
        finally:
            connection.close()

    def start(self) -> None:
        """Both."""
        self.start_django()
        self.nginx.start()

    def stop(self) -> None:
        """Both, if they run."""
        self.nginx.stop()
        if self._django is not None:
            self._django.kill()

    def restore(self) -> None:
        """Up and running, whatever a test has done to it."""
        if not self.django.running:
            self.start_django()
        self.django.resume()
        if not accepts(self.port):
            self.nginx.start()

    def _manage(self, *arguments: str, given: str = "") -> None:
        subprocess.run(
            [sys.executable, str(EXAMPLE / "manage.py"), *arguments],
            input=given,
            text=True,
            env=self._environment,
            cwd=self.folder,
            check=True,
            timeout=600,
            capture_output=True,
        )
