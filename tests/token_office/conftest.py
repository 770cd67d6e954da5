"""What these tests share."""

from __future__ import annotations

import pytest

from tests.token_office.offices import Office


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)
