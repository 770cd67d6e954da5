"""Users in the tables of a website, or of an XMPP server: PostgreSQL, MariaDB and MySQL, SQLite.

One query, the administrator's or a preset's, finds the user's row; the hash in it is verified here.
The password is never shown to the database, nothing is written, and no value becomes a part of the
statement.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from authbridge import model, preparation
from authbridge.checkers import Surroundings
from authbridge.model import JID, Outcome, Reason, Trace
from authbridge.secret import Secret
from authbridge.settings import Table
from authbridge.sql import account, hashes, probe, settings
from authbridge.sql.account import Account
from authbridge.sql.database import NOBODY, Answer, Database
from authbridge.sql.faults import Fault
from authbridge.sql.hashes import Stored
from authbridge.sql.settings import SqlSettings
from authbridge.workers import Overloaded, Workers

PROBED = JID("authbridge-probe", "authbridge.invalid")


def read_settings(table: Table) -> SqlSettings:
    """Read the table, and close it."""
    return settings.read_settings(table)


def make_checker(settings: SqlSettings, surroundings: Surroundings) -> SqlChecker:
    """A checker of this database's users. Nothing is connected before the first login."""
    threads = Workers(surroundings.reactor, settings.at_once, settings.most_waiting)
    database = Database(settings, surroundings.reactor, threads, surroundings.seconds)
    surroundings.at_stop.append(database.stop)
    return SqlChecker(settings, database, surroundings.workers, surroundings.wall)


class SqlChecker:
    """Checks passwords against hashes in a database."""

    def __init__(
        self,
        settings: SqlSettings,
        database: Database,
        workers: Workers,
        wall: Callable[[], float],
    ) -> None:
        """`workers` hash. `wall` gives seconds since the epoch, which accounts expire by."""
        self._settings = settings
        self._database = database
        self._workers = workers
        self._wall = wall
        self._seen: Stored | None = None
        """What was stored in the row read last: what one costs who is not there."""

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Checker`. Whoever has no password here takes as long as who has one."""
        try:
            found = await self._find(jid, trace)
            stored = None
            if isinstance(found, Account):
                stored = found.stored(self._settings.hashes, self._settings.salt_encoding)
        except Fault as fault:
            return _cannot_tell(fault, trace)
        if trace is not None and isinstance(found, Account):
            trace.step("password", stored.described if stored else "none that could be right")
        try:
            matches = await self._verify(stored, password)
        except Overloaded:
            return model.unavailable(Reason.OVERLOADED)
        except hashes.Unfit as error:
            return _cannot_tell(Fault(Reason.HASH_UNKNOWN, f"a stored password {error}"), trace)
        if isinstance(found, Outcome):
            return found
        if not self._settings.query.form.stands_for(found.username, jid, found.domain):
            return model.rejected(Reason.NOT_CANONICAL)
        if stored is None:
            return model.rejected(Reason.PASSWORD_UNUSABLE)
        if not matches:
            return model.PASSWORD_MISMATCH
        # Only now: who does not know the password learns nothing of the account.
        return model.PASSWORD_MATCHES if found.refusal is None else model.rejected(found.refusal)

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`. Who may not log in exists all the same: mail for him is kept."""
        try:
            found = await self._find(jid, trace)
        except Fault as fault:
            return _cannot_tell(fault, trace)
        if isinstance(found, Outcome):
            return found
        if not self._settings.query.form.stands_for(found.username, jid, found.domain):
            return model.rejected(Reason.NOT_CANONICAL)
        return model.USER_EXISTS

    async def probe(self, trace: Trace) -> Outcome:
        """See `checkers.Probed`: the connection, the query for somebody who is not there, and what
        the account may do."""
        trace.step("database", self._database.name)
        if hashes.PLAIN in self._settings.hashes:
            trace.step("passwords", "plain text is accepted: who reads the table reads them all")
        try:
            steps = await self._database.run(
                lambda connection: probe.look(connection, self._settings), patient=True
            )
            trace.steps.extend(steps)
            nobody = JID(f"{PROBED.local}-{secrets.token_hex(8)}", PROBED.domain)
            found = await self._find(nobody, trace)
        except Fault as fault:
            return _cannot_tell(fault, trace)
        if isinstance(found, Outcome) and found.verdict is model.Verdict.UNKNOWN_USER:
            return model.USER_EXISTS
        trace.step("fault", "the query finds somebody who is not there: is its WHERE right?")
        return model.unavailable(Reason.DATABASE_FAILED)

    async def _find(self, jid: JID, trace: Trace | None) -> Account | Outcome:
        """The user's row, or why there is none. Raises Fault."""
        query = self._settings.query
        try:
            parameters = query.parameters(jid)
        except preparation.Unprepared as error:
            if trace is not None:
                trace.step("name", str(error))
            return model.USER_UNKNOWN
        if trace is not None:
            bound = ", ".join(f":{name} {value!r}" for name, value in parameters.items())
            trace.step("query", f"{self._database.name}, with {bound}")
        return await self._database.ask(
            parameters, lambda answer: self._read(answer, trace), patient=trace is not None
        )

    def _read(self, answer: Answer, trace: Trace | None) -> Account | Outcome:
        """Raises Fault."""
        if answer is NOBODY:
            return model.USER_UNKNOWN
        account.check_columns(answer.columns, by_domain=self._settings.query.by_domain)
        if trace is not None:
            trace.step("found", _rows(answer))
        if len(answer.rows) > 1:
            return model.rejected(Reason.USER_AMBIGUOUS)
        if not answer.rows:
            return model.USER_UNKNOWN
        found = account.read(answer.rows[0], self._wall())
        if trace is not None:
            _tell(trace, found)
        return found

    async def _verify(self, stored: Stored | None, password: Secret) -> bool:
        """Whether the password is what is stored; where nothing is, it costs as much. Raises
        Overloaded, Unfit."""

        def work() -> bool:
            if stored is not None:
                matches = stored.verify(password.reveal())
                self._seen = stored  # which is not damaged
                return matches
            if self._seen is None:
                self._seen = hashes.decoy(self._settings.hashes[0])
            self._seen.verify(password.reveal())
            return False

        return await self._workers.run(work)


def _cannot_tell(fault: Fault, trace: Trace | None) -> Outcome:
    if trace is not None:
        trace.step("fault", fault.words)
    return model.unavailable(fault.reason)


def _rows(answer: Answer) -> str:
    count = {0: "no row", 1: "one row"}.get(len(answer.rows), "more than one row")
    return f"{count} of {', '.join(answer.columns)}"


def _tell(trace: Trace, found: Account) -> None:
    refusal = "" if found.refusal is None else f"; {found.refusal.words}"
    trace.step("account", f"username {found.username!r}{refusal}")
