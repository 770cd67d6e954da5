"""`python -m bench [--rounds N] [--seconds S] [PART …]`: measure, and print tables in Markdown."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bench import (
    connector,
    daemon,
    ejabberd,
    extauth,
    http,
    ldap,
    line,
    stores,
    tokens,
    web,
    xcauth,
)
from bench.processes import machine
from bench.workplace import Workplace

PARTS: dict[str, Callable[[Workplace, int, float], None]] = {
    "extauth": extauth.run,
    "connector": connector.run,
    "ejabberd": ejabberd.run,
    "http": http.run,
    "ldap": ldap.run,
    "daemon": daemon.run,
    "line": line.run,
    "tokens": tokens.run,
    "stores": stores.run,
    "web": web.run,
    "xcauth": xcauth.run,
}


def main() -> None:
    """Run the parts that were asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="what to measure (all)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each variant (15)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn (0.5)")
    chosen = parser.parse_args()
    print(machine())
    print(f"{chosen.rounds} rounds of {chosen.seconds:g} s for each variant, in turns")
    for part in chosen.part or PARTS:
        with Workplace() as place:
            PARTS[part](place, chosen.rounds, chosen.seconds)


if __name__ == "__main__":
    main()
