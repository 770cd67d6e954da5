"""How long something takes, where nothing but that can be asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable

TURNS = 7
MOST_TURNS = 100
"""What others do on the machine makes a turn slower, of the one work or of the other, and never
faster: so of many turns the best one counts, and it is gone on only as long as that is too slow."""


def times_as_long(work: Callable[[], object], usual: Callable[[], object], most: float) -> float:
    """How many times as long the work takes as the usual one, of which 0.1 ms is the least that
    counts; in seconds of the processor, and at best. `most` is what is good enough."""
    best = [float("inf"), float("inf")]
    for turn in range(MOST_TURNS):
        for number, one in enumerate((work, usual)):
            began = time.process_time()
            one()
            best[number] = min(best[number], time.process_time() - began)
        times = best[0] / max(best[1], 1e-4)
        if turn + 1 >= TURNS and times < most:
            break
    return times
