"""What the tests of several commands share."""

from __future__ import annotations

import pytest

from tests.cli.tokens import Here


@pytest.fixture
def here(monkeypatch, capsys) -> Here:
    """Runs commands in this process."""
    return Here(monkeypatch, capsys)
