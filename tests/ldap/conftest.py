"""What several of these tests begin with."""

from __future__ import annotations

import pytest

from tests.ldap.tables import OURS, SECRET


@pytest.fixture
def folder(tmp_path):
    for name, content in (("password", SECRET), ("ca.pem", OURS.pem), ("none.pem", b"nothing")):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path
