"""Token logins through extauth, beside xmpp-cloud-auth's, with its own tokens; all on one core.

xmpp-cloud-auth is run from a checkout, which XCAUTH names, by our interpreter, with the options
that matter and a database of its own, as ejabberd would start it. It has no switch for the line of
a login; where it finds no folder for its log, it writes warnings alone, to stderr: this is its
"line off". Two modules that it imports are empty here: bsddb3 reads databases of its versions
before 2.0, and bcrypt hashes for a cache that is off unless asked for. Neither is called.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from authbridge.tokens import xcauth
from bench.extauth import ALONE, ALONE_QUIET, QUIET, SHIPPED, Programs, frame
from bench.passwords import XCAUTH_KEY, expiry, password
from bench.rounds import Results, goal, rate, total
from bench.tokens import make_hs256
from bench.workplace import Workplace, jids

THEIRS_QUIET, THEIRS = "xmpp-cloud-auth, login line off", "xmpp-cloud-auth, as shipped"
CHECKOUT = """
XCAUTH names no folder with an xcauth.py: nothing is measured beside xmpp-cloud-auth. It is on no
package index. `git clone https://github.com/jsxc/xmpp-cloud-auth FOLDER` brings it; then
XCAUTH=FOLDER."""
MISSING = "\n{} not installed: nothing is measured beside xmpp-cloud-auth, which needs it"
NEEDED = {"requests": "requests", "configargparse": "ConfigArgParse"}
STUBS = "bsddb3", "bcrypt"


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    checkout = Path(os.environ.get("XCAUTH", "")).absolute()
    if not (checkout / "xcauth.py").is_file():
        print(CHECKOUT)
        return
    missing = [name for module, name in NEEDED.items() if not importlib.util.find_spec(module)]
    if missing:
        print(MISSING.format(" and ".join(missing)))
        return
    said = re.search(r"VERSION *= *'([^']*)'", (checkout / "xclib" / "version.py").read_text())
    print(f"\nxmpp-cloud-auth {said[1] if said else '?'}; {' and '.join(STUBS)} are empty modules")

    programs = Programs(place, "xcauth")
    programs.add(THEIRS_QUIET, command(place, checkout, log=False))
    programs.add(THEIRS, command(place, checkout, log=True))
    programs.add_authbridge()
    kinds: dict[str, Callable[[str], bytes]] = {
        "xcauth": lambda jid: xcauth.make(XCAUTH_KEY, jid, expiry()).encode(),
        "compact": password,
        "JWT, HS256": lambda jid: make_hs256(jid).encode(),
    }
    requests = {
        kind: place.requests(
            f"tokens-{number}.requests",
            (frame(user, domain, make(f"{user}@{domain}")) for user, domain in jids()),
        )
        for number, (kind, make) in enumerate(kinds.items())
    }
    results = Results(programs.variants(requests["xcauth"]), rounds, seconds)
    results.table("extauth: xcauth tokens, one request outstanding, one core", THEIRS_QUIET)
    for name, least in ((QUIET, 0.8), (ALONE_QUIET, 2.0)):
        ratio = results.ratio(name, THEIRS_QUIET, rate)
        goal(f"{name}: logins/s to {THEIRS_QUIET}", ratio, least, at_least=True)
    for name in (SHIPPED, ALONE):
        found = results.ratio(name, THEIRS, rate), results.ratio(name, THEIRS, total)
        print(f"- ({name}, to {THEIRS}: {found[0]:.2f} × logins/s, {found[1]:.2f} × CPU)")

    variants = [
        programs.variant(name, asked, f"{name}: {kind}")
        for name in (QUIET, ALONE_QUIET)
        for kind, asked in requests.items()
    ]
    results = Results(variants, rounds, seconds)
    results.table("extauth: tokens of each kind, one request outstanding", variants[0].name)
    programs.print_memory()


def command(place: Workplace, checkout: Path, *, log: bool) -> list[str]:
    """As ejabberd would start it; its log is a file, or it has none."""
    name = "log" if log else "quiet"
    folder = place.folder / "xcauth" / name
    modules = folder / "modules"
    modules.mkdir(parents=True)
    for stub in STUBS:
        (modules / f"{stub}.py").touch()
    options = {
        "-t": "ejabberd",
        "-s": XCAUTH_KEY.decode(),
        "-u": "http://127.0.0.1:9/",  # of Nextcloud, which is not asked about a good token
        "-l": str(folder if log else folder / "none"),
        "--db": str(folder / "database"),
    }
    words = [sys.executable, str(checkout / "xcauth.py")]
    words += [word for option in options.items() for word in option]
    return ["/usr/bin/env", f"PYTHONPATH={modules}", *words]
