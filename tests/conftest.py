"""What every test shares."""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import globalLogPublisher

# A slow machine is no failure, and the same examples every time: a run tells of the change alone.
# `pytest --hypothesis-profile=others` looks for others.
settings.register_profile("others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("others"), derandomize=True)
settings.load_profile("same")


@pytest.fixture
def events():
    """What is logged during the test, as Twisted's events.

    Nothing is collected meanwhile: what an earlier test has left could be a Deferred whose failure
    nobody has handled, and Twisted would log that here, whenever it happens to be found.
    """
    seen = []
    collecting = gc.isenabled()
    gc.disable()
    globalLogPublisher.addObserver(seen.append)
    yield seen
    globalLogPublisher.removeObserver(seen.append)
    if collecting:
        gc.enable()
