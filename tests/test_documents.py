"""What the documents say of the project itself; that their examples work is tested elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PATH = re.compile(r"`((?:authbridge|bench|conf|docs|tests)/[\w./*-]+)`")
"""A file or folder of the project, with "*" or KIND for any name."""


def paths(document: str) -> set[str]:
    """Those that a document names."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return {path.replace("KIND", "*") for path in PATH.findall(text)}


@pytest.mark.parametrize(
    "document",
    [
        "SECURITY.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "README.md",
        *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
    ],
)  # fmt: skip
def test_every_path_that_a_document_names_is_there(document: str) -> None:
    """A promise whose test has another name by now looks like one without a test."""
    assert [path for path in sorted(paths(document)) if not list(ROOT.glob(path))] == []


def test_every_promise_of_security_names_its_test() -> None:
    """At least one file or folder of tests, and nothing else."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!promise|-)(.*) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == text.count("\n|") - 2
    for promise, where in rows:
        assert re.fullmatch(r"`tests/[\w./]+`(, `tests/[\w./]+`)*", where), promise


def test_architecture_shows_the_layers_that_are_checked() -> None:
    """In the same order; the outermost is left out, since it only calls the next."""
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (checked,) = re.findall(
        r'^type = "layers"\nlayers = \[(.*?)^\]', settings, re.MULTILINE | re.DOTALL
    )
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^Layers, .*?: (.*?)\. `tap` alone", text, re.MULTILINE | re.DOTALL)
    layers = [set(line.split(" | ")) for line in re.findall(r'"(.*)"', checked)]
    assert [set(one.split(" | ")) for one in re.findall(r"`(.*?)`", shown)] == layers[1:]
