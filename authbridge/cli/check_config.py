"""`authbridge check-config`: every mistake of a configuration, with its key."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from authbridge import config
from authbridge.settings import ConfigurationError


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("check-config", help="say what is wrong with a configuration")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print the mistakes as JSON")
    parser.set_defaults(command=check)


def check(chosen: argparse.Namespace) -> int:
    """Print every mistake; 2 where there is one."""
    mistakes: tuple[str, ...] = ()
    try:
        config.load(chosen.file)
    except ConfigurationError as error:
        mistakes = error.mistakes
    if chosen.json:
        print(json.dumps({"file": str(chosen.file), "mistakes": mistakes}, ensure_ascii=False))
    elif not mistakes:
        print(f"{chosen.file} is good")
    else:
        for mistake in mistakes:
            print(mistake, file=sys.stderr)
    return 2 if mistakes else 0
