"""`exists = "seen"`: a user exists who has logged in before, as far as the state remembers."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from authbridge import model
from authbridge.model import JID, Outcome, Reason, Trace
from authbridge.secret import Secret
from authbridge.stores.ledger import Ledger, StoreUnavailable, ask
from authbridge.stores.operations import NoteSeen, Seen

MOST_REMEMBERED = 20_000
"""Users that the state is not asked about again, nor told of."""


class SeenUsers:
    """Whoever has logged in; a `model.Checker` that judges no password."""

    def __init__(self, ledger: Ledger | None) -> None:
        """Without a `ledger` nobody can be told."""
        self._ledger = ledger
        self._recent: dict[JID, None] = {}
        self._owed: dict[JID, None] = {}
        """Of the recent ones those that the state could not be told of."""

    def note(self, jid: JID) -> None:
        """This user has logged in. The login does not wait for it, nor fail of it."""
        if jid not in self._recent or jid in self._owed:
            self._tell(jid)

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        return model.NOT_A_TOKEN

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        if trace is None and jid in self._recent:
            return model.USER_EXISTS
        try:
            seen = await ask(self._ledger, Seen(str(jid)))
        except StoreUnavailable as error:
            if trace is not None:
                trace.step("state", str(error))
            return model.unavailable(Reason.STATE_UNAVAILABLE)
        if trace is not None:
            trace.step("seen", "has logged in before" if seen else "has never logged in")
        if seen:
            self._remember(jid)
        return model.USER_EXISTS if seen else model.USER_UNKNOWN

    def remembered(self, jid: JID) -> Outcome | None:
        """See `model.Remembering`."""
        return model.USER_EXISTS if jid in self._recent else None

    def _remember(self, jid: JID) -> None:
        self._recent[jid] = None
        if len(self._recent) > MOST_REMEMBERED:
            oldest = next(iter(self._recent))
            del self._recent[oldest]
            self._owed.pop(oldest, None)

    def _tell(self, jid: JID) -> None:
        self._remember(jid)
        self._owed.pop(jid, None)
        told = Deferred.fromCoroutine(ask(self._ledger, NoteSeen(str(jid))))
        told.addCallbacks(self._told, self._missed, errbackArgs=(jid,))

    def _told(self, _new: bool) -> None:
        """The state can be written to: it is told what it has missed, one after the other, so that
        thousands of them do not keep everybody else waiting."""
        owed = next(iter(self._owed), None)
        if owed is not None:
            self._tell(owed)

    def _missed(self, failure: Failure, jid: JID) -> None:
        failure.trap(StoreUnavailable)
        if jid in self._recent:
            self._owed[jid] = None
