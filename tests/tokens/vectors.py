"""The published tokens of compact and xcauth: every version has to verify them, for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "vectors" / "tokens"


def read(kind: str) -> list[dict[str, Any]]:
    """Those of a kind, each with the octets of its secret."""
    lines = (FOLDER / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()
    vectors = [json.loads(line) for line in lines]
    return [vector | {"secret": bytes.fromhex(vector["secret_hex"])} for vector in vectors]
