"""Websites, and a daemon with a domain for each way to ask them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .canary import secret
from .daemon import Daemon, hash_password, write_private
from .django_website import HOST, DjangoWebsite
from .pki import make_pki
from .website_double import WebsiteDouble

#: The Django example; the same with an authority that did not sign for it; by a name it has not;
#: with another secret than the site's; with little patience, for outages in which nothing answers.
SITE, UNTRUSTED, MISNAMED, UNKNOWN, HASTY = (
    f"{name}.example" for name in ("site", "untrusted", "misnamed", "unknown", "hasty")
)
#: JSXC's app; a page behind a password; a page that greets everybody; any answer at all; tokens of
#: a website's own, before users in a file.
CLOUD, PAGE, OPEN, ANY, FORUM = (
    f"{name}.example" for name in ("cloud", "page", "open", "any", "forum")
)
DOMAINS = (SITE, UNTRUSTED, MISNAMED, UNKNOWN, HASTY, CLOUD, PAGE, OPEN, ANY, FORUM)

#: What a checker waits for an answer: a machine that is busy elsewhere is no outage.
PATIENCE = "20s"

USERS = {
    "alice": secret("wonderland"),
    "bob": secret("builder pässwörd +&=% ✓:"),
    "Odd": secret("capital"),
    "gone": secret("not active"),
}
CLOUD_USERS = {
    "alice": secret("wonderland-cloud"),
    "bob": secret("builder&=+% ü"),
    "alice@cloud.example": secret("the impostor's"),
}
#: alice's at FORUM, which the site must not be shown.
LOCAL = secret("of the file")

_DJANGO = """
[domains."{domain}"]
check = ["{domain}"]
[checkers."{domain}"]
kind = "http"
preset = "django"
url = "{url}/chat/check-password"
exists_url = "{url}/chat/user-exists"
host = "{host}"
ca_file = "{ca}"
secret_file = "{secret}"
timeout = "{timeout}"
"""

_DOUBLES = """
[authbridge]
deadline = "25s"

[domains."cloud.example"]
check = ["cloud"]
[checkers.cloud]
kind = "http"
preset = "xcauth"
url = "{cloud}"
ca_file = "{ca}"
secret_file = "{folder}/jsxc-secret"
timeout = "{timeout}"

[domains."page.example"]
check = ["page"]
exists = "never"
[checkers.page]
kind = "http"
request = "basic"
url = "{page}"
ca_file = "{ca}"
timeout = "{timeout}"

[domains."open.example"]
check = ["open"]
exists = "never"
[checkers.open]
kind = "http"
request = "basic"
url = "{open}"
ca_file = "{ca}"
timeout = "{timeout}"

[domains."any.example"]
check = ["any"]
[checkers.any]
kind = "http"
request = "json"
url = "{any}"
exists_url = "{any}"
ca_file = "{ca}"
answer_member = "accepted"
user_member = "user"
timeout = "{timeout}"

[domains."forum.example"]
check = ["forum", "local"]
never = ["admin"]
[checkers.forum]
kind = "http"
request = "form"
url = "{any}"
ca_file = "{ca}"
answer_member = "accepted"
token_prefix = "fat_"
token_length = 44
passwords = false
timeout = "{timeout}"
[checkers.local]
kind = "file"
path = "{folder}/local-users"
"""


@dataclass(frozen=True)
class WebsiteWorld:
    """All of it, running."""

    django: DjangoWebsite
    double: WebsiteDouble
    daemon: Daemon

    def restore(self) -> None:
        """Up and running, whatever a test has done to it."""
        self.django.restore()
        self.daemon.restore()


@contextmanager
def running(folder: Path) -> Iterator[WebsiteWorld]:
    """All of it, as long as the block runs."""
    pki = make_pki(folder / "tls", [HOST], ["127.0.0.1"])
    strangers = make_pki(folder / "strangers-tls", [HOST], ["127.0.0.1"])
    django = DjangoWebsite(folder / "django", pki, USERS)
    double = WebsiteDouble(pki, CLOUD_USERS, secret("jsxc"))
    write_private(folder / "jsxc-secret", double.secret + b"\n")
    write_private(folder / "website-secret", django.secret + b"\n")
    write_private(folder / "wrong-secret", secret("of-another-website") + b"\n")
    write_private(folder / "local-users", f"alice@{FORUM}:{hash_password(LOCAL)}\n".encode())
    named = {
        "url": django.url,
        "host": HOST,
        "ca": pki.ca,
        "secret": folder / "website-secret",
        "timeout": PATIENCE,
    }
    others = {
        domain: _DJANGO.format(domain=domain, **{**named, **given})
        for domain, given in (
            (SITE, {}),
            (UNTRUSTED, {"ca": strangers.ca}),
            (MISNAMED, {"url": django.url.replace("127.0.0.1", "localhost")}),
            (UNKNOWN, {"secret": folder / "wrong-secret"}),
            (HASTY, {"timeout": "1s"}),
        )
    }
    others[CLOUD] = _DOUBLES.format(
        cloud=double.url("/jsxc"), page=double.url("/page"), open=double.url("/open"),
        any=double.url("/any"), ca=pki.ca, folder=folder, timeout=PATIENCE,
    )  # fmt: skip
    others |= dict.fromkeys((PAGE, OPEN, ANY, FORUM), "")
    daemon = Daemon(folder / "daemon", (), others=others)
    with ExitStack() as ends:
        ends.callback(django.stop)
        django.start()
        double.start()
        ends.callback(double.stop)
        daemon.start()
        ends.callback(daemon.stop)
        yield WebsiteWorld(django, double, daemon)
