"""The examples of docs/tokens.md, with their files and folders made ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "tokens.md"


def blocks(language: str) -> list[str]:
    """The examples in one language."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return found


def languages() -> set[str]:
    """Of all examples; "" is that of what is none."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return set(re.findall(r"^```(\w*)\n.*?^```$", text, re.DOTALL | re.MULTILINE))


def example(language: str, mark: str) -> str:
    """The one with that in it."""
    (found,) = (text for text in blocks(language) if mark in text)
    return found


def tables(heading: str) -> Iterator[Mapping[str, str]]:
    """The rows of the table that has these headings, without the marks of code."""
    text = DOCUMENT.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^{re.escape(heading)}\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    names = _cells(heading)
    for row in found.splitlines():
        yield dict(zip(names, _cells(row), strict=True))


def _cells(row: str) -> list[str]:
    return [cell.strip().strip("`") for cell in row.strip("|").split("|")]


def write(path: Path, text: str, there: Mapping[str, str]) -> Path:
    """A private file with an example in it, `there` replaced."""
    if there:
        text = re.sub("|".join(map(re.escape, there)), lambda found: there[found[0]], text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path
