"""Waiting for a condition, with a limit far above what any machine needs."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which a condition counts as never coming. A limit, not an expectation: nothing
#: asserts on how long anything took.
LIMIT = 90.0


def wait_until(condition: Callable[[], T], what: str, limit: float = LIMIT) -> T:
    """Return the first true value of `condition`; AssertionError naming `what` after `limit` s."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit:g} s: {what}")
        time.sleep(0.02)
