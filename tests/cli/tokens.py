"""A configuration with issuers of every kind, for commands that are run as programs or here."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from joserfc import jwk
from twisted.internet.defer import succeed
from twisted.internet.testing import MemoryReactorClock

from authbridge import wiring
from authbridge.cli.main import main
from authbridge.issuers import published
from authbridge.issuers.keyring import bind_published
from authbridge.tokens.key_texts import read_set
from tests.cli.folders import configuration, write
from tests.doubles import now

SITE = "https://www.example.org"
CONFIGURATION = f"""
[domains."chat.example.org"]
check = ["tokens", "local"]
never = ["admin"]
[checkers.tokens]
kind = "token"
accept = ["jwt", "compact", "xcauth"]
[issuers."{SITE}"]
keys = ["www"]
algorithms = ["ES256"]
domains = ["chat.example.org"]
[issuers.forum]
kind = "compact"
secret_file = "forum"
domains = ["chat.example.org"]
[issuers.nextcloud]
kind = "xcauth"
secret_file = "nextcloud"
domains = ["chat.example.org"]
"""


class Here:
    """Runs commands in this process, which is a hundred times faster than a program each."""

    def __init__(self, monkeypatch, capsys) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.setattr(wiring, "visit", self._visit)

    def __call__(self, *arguments, stdin: bytes = b""):
        """The exit status, and what is printed to stdout and stderr."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main([str(argument) for argument in arguments])
        return status, *self._capsys.readouterr()

    def publish(self, content: bytes | None) -> None:
        """What is at every URL of keys; None: it does not answer."""
        self._monkeypatch.setattr(
            published, "make", lambda settings, *_: Published(settings, content)
        )

    def _visit(self, configuration, walk) -> None:
        reactor = MemoryReactorClock()
        house = wiring.build(configuration, lambda _line: None, reactor, visiting=True)
        house.surroundings.issuers.start()
        now(walk(house))


class Published:
    """Keys by URL that are there as soon as they are waited for, or not at all."""

    def __init__(self, settings, content: bytes | None) -> None:
        self._settings, self._content = settings, content
        self._keys, self.trouble = None, ""

    def start(self) -> None:
        pass

    def ready(self):
        if self._content is None:
            self.trouble = "connection refused"
        else:
            found = read_set(self._content, self._settings.jwks.url)
            self._keys, _ = bind_published(found, self._settings)
        return succeed(None)

    def ask_again(self) -> bool:
        return False

    def current(self):
        return self._keys


def token_configuration(folder: Path) -> Path:
    """alice may show tokens at chat.example.org. The site's private key is in `site.pem`, of which
    the bridge has the public half; the secrets of the others are here."""
    path = configuration(folder)
    write(path, path.read_text(encoding="utf-8") + CONFIGURATION)
    pair = jwk.ECKey.generate_key("P-256")
    write(folder / "site.pem", pair.as_pem(private=True).decode())
    (folder / "www").mkdir(mode=0o700)
    write(folder / "www" / "www-1.pem", pair.as_pem(private=False).decode())
    write(folder / "forum", "a secret of forty characters, and a few more\n")
    write(folder / "nextcloud", "nextcloud-has-23-of-them\n")
    return path


def by_url(path: Path) -> str:
    """Have the site's keys fetched; the URL."""
    url = "https://127.0.0.1:1/jwks.json"
    issuer = f'[issuers."{SITE}"]\n'
    text = path.read_text(encoding="utf-8")
    write(path, text.replace(f'{issuer}keys = ["www"]\n', f'{issuer}jwks_url = "{url}"\n'))
    return url
