"""A directory that comes and goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.system.slapd import Slapd


class Weather(threading.Thread):
    """slapd: running, stopped, running, hanging, running, killed, and from the beginning."""

    def __init__(self, slapd: Slapd, fair: float, foul: float) -> None:
        """`fair`: seconds for which it runs between outages. `foul`: how long those are."""
        super().__init__()
        self._slapd = slapd
        self._fair, self._foul = fair, foul
        self._over = threading.Event()
        self.state = "running"
        self.fair_since = time.monotonic()
        """When slapd was up again; in an outage, never."""
        self.cycles = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        outages: tuple[tuple[str, Callable[[], object], Callable[[], None]], ...] = (
            ("stopped", self._slapd.stop, self._slapd.start),
            ("hanging", self._slapd.pause, self._slapd.resume),
            ("killed", self._slapd.kill, self._slapd.start),
        )
        try:
            while True:
                for name, begin, end in outages:
                    if self._over.wait(self._fair):
                        return
                    self.state, self.fair_since = name, float("inf")
                    begin()
                    self._over.wait(self._foul)
                    end()
                    self.state, self.fair_since = "running", time.monotonic()
                self.cycles += 1
        except BaseException as error:
            self.error = error

    def clear_up(self) -> None:
        """Running from now on."""
        self._over.set()
        self.join()
        assert self.error is None, self.error
