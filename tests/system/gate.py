"""A kind of checker before which users wait until somebody comes who lets them in.

It is `on_demand` with a gate: the daemon under test loads both as anybody's own kinds.
"""

from twisted.internet.defer import Deferred

from authbridge.model import JID, Outcome, Trace
from authbridge.secret import Secret

from .on_demand import OnDemand, read_settings

__all__ = ["OPENS", "WAITS", "make_checker", "read_settings"]

#: Users whose names begin so wait.
WAITS = "waits"
#: A login of one whose name begins so ends the waiting of all.
OPENS = "opens"


class Gate(OnDemand):
    """The checker."""

    def __init__(self, initial: Secret) -> None:
        super().__init__(initial)
        self._waiting: list[Deferred[None]] = []

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """As `on_demand`, sooner or later."""
        if jid.local.startswith(WAITS):
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting
        if jid.local.startswith(OPENS):
            waiting_now, self._waiting = self._waiting, []
            for waiting in waiting_now:
                if not waiting.called:  # else its deadline has passed
                    waiting.callback(None)
        return await super().check_password(jid, password, trace)


def make_checker(settings: Secret, surroundings: object) -> Gate:
    """The checker."""
    return Gate(settings)
