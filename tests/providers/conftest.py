"""What the tests of this folder, and of the checker, share."""

from __future__ import annotations

import pytest

from tests.providers.world import World


@pytest.fixture
def world(tmp_path):
    """Makes a provider and its checker; nothing of it may be left behind."""
    made = []

    def make(way="introspection", /, **given):
        made.append(World(tmp_path, way, **given).start())
        return made[-1]

    yield make
    for one in made:
        one.end()
