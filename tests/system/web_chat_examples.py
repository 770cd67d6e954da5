"""The examples of docs/web-chat.md."""

from __future__ import annotations

import re

from tests.recipes.document import ROOT

DOCUMENT = ROOT / "docs" / "web-chat.md"
#: The examples by language, and what only one of them has in it.
EXAMPLES = {
    "toml": ("[listen]", "sites.intranet", "sites.forum"),
    "python": ("django", "Blueprint"),
    "php": ("session_start",),
    "js": (
        *("loggedInUser", "credentials_url: ", "prebind_url: ", "SASLExternal", "strophe.esm"),
        *("will-reconnect", "withCredentials"),
    ),
    "lua": ("VirtualHost",),
    "sh": ("client new", "check-config", "prosodyctl"),
    "yaml": ("mod_bosh",),
    "json": ('"sid"',),
    "html": ("<script",),
}
#: That of the site with a cookie that Prosody asks about, and that of the others.
DOMAIN, ELSEWHERE = "example.org", "elsewhere.example"
#: The site and its proxy: Django's, which the document configures, and the one with a header.
WWW, INTRANET = "www.example.org", "intranet.example.org"
#: The back ends by the name that their site has here, with the cookie of a login, and the path.
COOKIES = {"www": "sessionid", "flask": "session", "php": "PHPSESSID", "node": "sid"}
PACKAGES = ROOT / "tests" / "browser" / "node_modules"


def blocks(language: str) -> list[str]:
    """The examples in one language."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return found


def example(language: str, mark: str) -> str:
    """The one with that in it."""
    (found,) = (text for text in blocks(language) if mark in text)
    return found
