"""Who may ask a checker now: so many at once, and the front ends by turns.

What waits for a directory or for a hash waits here, in one line for each front end. Were there one
line for all, a flood at one of them would fill it, and who came through another would wait behind
the whole flood for longer than a login may take.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred


class LineFull(Exception):
    """Too many of this front end are waiting already."""


class Turns:
    """The turns at one checker."""

    def __init__(self, at_once: int, most_waiting: int) -> None:
        """`at_once` may ask; of each front end at most `most_waiting` more stand in line."""
        self._free = at_once
        self._letting_in = False
        self._most_waiting = most_waiting
        self._lines: dict[str, deque[Deferred[None]]] = {}
        self._by_turns: deque[str] = deque()
        """The front ends that somebody may be waiting for; the first is let in next."""
        self._given_up: dict[str, int] = {}
        """Of each line, those who were cancelled and have not been met by `leave`."""

    def take(self, front_end: str) -> Deferred[None] | None:
        """None: go ahead. Otherwise wait for it, or cancel it. Raises LineFull.

        Whoever goes ahead calls `leave` in the end; whoever has cancelled does not.
        """
        if self._free and not self._by_turns:
            self._free -= 1
            return None
        line = self._lines.setdefault(front_end, deque())
        if len(line) - self._given_up.get(front_end, 0) >= self._most_waiting:
            raise LineFull
        if not line:
            self._by_turns.append(front_end)
        turn: Deferred[None] = Deferred(lambda _: self._give_up(front_end))
        line.append(turn)
        return turn

    def leave(self) -> None:
        """Somebody is done: the next may ask."""
        self._free += 1
        if self._letting_in:
            return  # who was let in was answered at once, and the loop below goes on
        self._letting_in = True
        try:
            while self._free and (turn := self._next()) is not None:
                self._free -= 1
                turn.callback(None)
        finally:
            self._letting_in = False

    def _next(self) -> Deferred[None] | None:
        while self._by_turns:
            front_end = self._by_turns.popleft()
            line = self._lines[front_end]
            turn = line.popleft()
            if line:
                self._by_turns.append(front_end)
            if not turn.called:
                return turn
            self._given_up[front_end] -= 1
        return None

    def _give_up(self, front_end: str) -> None:
        # Its place in the line is met later: to look for it now would cost each of a thousand
        # whose time is over a walk through the other thousands.
        self._given_up[front_end] = self._given_up.get(front_end, 0) + 1
