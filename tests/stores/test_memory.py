"""The store in memory keeps the contract."""

from __future__ import annotations

import pytest

from authbridge.stores.memory import MemoryStore
from tests.stores.contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def new_store(self):
        return MemoryStore
