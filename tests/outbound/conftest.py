"""What the tests of this folder share."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def own_garbage():
    """The collector looks at what the tests of one module have made: not at what others have left
    behind, which would be laid at their door, and take long."""
    gc.freeze()
    yield
    gc.unfreeze()
