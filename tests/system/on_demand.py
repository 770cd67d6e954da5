"""A kind of checker whose users' names begin with what becomes of a change of theirs.

The daemon under test loads it as anybody's own kind; the tests' own process imports the outcomes.
Users whose names end in "-old" have a password; all others are made by a registration.
"""

from typing import Any

from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.model import JID, Outcome, Reason, Trace, Verdict
from authbridge.secret import Secret

MADE = model.PASSWORD_CHANGED
#: Never answered: the deadline decides, and the change is made all the same.
SILENT = model.unavailable(Reason.DEADLINE_PASSED)
OUTCOMES = {
    "done": MADE,
    "unacceptable": model.rejected(Reason.PASSWORD_UNACCEPTABLE),
    "disabled": model.rejected(Reason.ACCOUNT_DISABLED),
    "off": Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED),
    "down": model.unavailable(Reason.DIRECTORY_UNREACHABLE),
    "silent": SILENT,
}
#: Nobody can tell whether these exist.
UNSURE = "unsure"


class OnDemand:
    """The checker; see `authbridge.model.Registry`."""

    def __init__(self, initial: Secret) -> None:
        self._initial = initial
        self._passwords: dict[str, Secret] = {}

    def _password(self, jid: JID) -> Secret | None:
        initial = self._initial if jid.local.endswith("-old") else None
        return self._passwords.get(jid.local, initial)

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """By the password that was set last."""
        right = self._password(jid)
        if right is not None and right.matches(password.reveal()):
            return model.PASSWORD_MATCHES
        return model.PASSWORD_MISMATCH

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """Who has a password."""
        if jid.local.startswith(UNSURE):
            return model.unavailable(Reason.DIRECTORY_UNREACHABLE)
        return model.USER_UNKNOWN if self._password(jid) is None else model.USER_EXISTS

    async def set_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """By the user's name."""
        outcome = OUTCOMES.get(jid.local.partition("-")[0], MADE)
        if outcome is MADE or outcome is SILENT:
            self._passwords[jid.local] = password
        if outcome is SILENT:
            await Deferred()
        return outcome

    register = set_password


def read_settings(table: Any) -> Secret:
    """What everybody's password is at first."""
    initial: Secret = table.secret_file("initial_file")
    table.close()
    return initial


def make_checker(settings: Secret, surroundings: object) -> OnDemand:
    """The checker."""
    return OnDemand(settings)
