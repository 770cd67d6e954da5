"""How often somebody may do something: a bucket that fills steadily (as in RFC 2697)."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable

from authbridge.settings import Table

_RATE = re.compile(r"([1-9][0-9]{0,5})/([smh])")
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Rate:
    """So many in so many seconds, and as many at once."""

    def __init__(self, most: int, period: float, seconds: Callable[[], float]) -> None:
        """`period` in seconds; `seconds`: of a clock that nobody sets."""
        self._most = most
        self._per_second = most / period
        self._seconds = seconds
        self._left = float(most)
        self._filled = seconds()

    def take(self) -> float:
        """Take one: 0; or, where none is left, the seconds after which one will be."""
        now = self._seconds()
        self._left = min(self._most, self._left + (now - self._filled) * self._per_second)
        self._filled = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0

    def give_back(self) -> None:
        """What was taken is not used."""
        self._left += 1


class Rates:
    """A rate for each of many, of whom those are forgotten who have not come for longest."""

    def __init__(
        self, most: int, period: float, seconds: Callable[[], float], remembered: int
    ) -> None:
        """`period` in seconds; `seconds`: of a clock that nobody sets."""
        self._most = most
        self._period = period
        self._seconds = seconds
        self._remembered = remembered
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    def take(self, name: str) -> float:
        """As `Rate.take`, for him."""
        rate = self._rates.get(name)
        if rate is None:
            rate = self._rates[name] = Rate(self._most, self._period, self._seconds)
            if len(self._rates) > self._remembered:
                self._rates.popitem(last=False)
        self._rates.move_to_end(name)
        return rate.take()

    def give_back(self, name: str) -> None:
        """As `Rate.give_back`; nothing, where he is forgotten already."""
        if name in self._rates:
            self._rates[name].give_back()


def read_rate(table: Table, default: tuple[int, float]) -> tuple[int, float]:
    """`rate` of a table: so many in so many seconds, given as "20/s"."""
    if "rate" not in table:
        table.knows("rate")
        return default
    text = table.text("rate")
    match = _RATE.fullmatch(text)
    if match is None:
        if text:
            table.wrong("rate", 'should be tokens in a second, minute or hour, as in "20/s"')
        return default
    return int(match[1]), _PERIODS[match[2]]
