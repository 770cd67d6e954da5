"""What the tests of the front ends share."""

from __future__ import annotations

import pytest

from tests.frontends.connectors import Listener


@pytest.fixture
def listen():
    """Makes listeners for connectors."""
    made = []

    def listen(*arguments, **settings):
        made.append(Listener(*arguments, **settings))
        return made[-1]

    yield listen
    for listener in made:
        listener.close()
