"""What the room needs beside authbridge."""

from __future__ import annotations

import importlib
import sys

import pytest

import authbridge.sql
from authbridge.checkers import CheckerSettings
from authbridge.settings import Mistakes, Table


def test_what_is_missing_is_named_and_how_to_install_it(monkeypatch, tmp_path):
    for name in ("sqlalchemy", "bcrypt"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as raised:
        importlib.reload(authbridge.sql)
    words = "sqlalchemy, bcrypt is missing; `pip install 'authbridge[sql]'` installs what it needs"
    assert str(raised.value) == words
    for name in [name for name in sys.modules if name.startswith("authbridge.sql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "authbridge.checkers.sql", raising=False)
    mistakes = Mistakes()
    table = Table({"kind": "sql"}, "checkers.site", mistakes, tmp_path)
    assert CheckerSettings.read(table) is None
    assert list(mistakes) == [
        f"checkers.site.kind: authbridge.checkers.sql cannot be imported: {words}"
    ]
