"""New passwords and new users, as each kind of directory has them written.

The service account writes. A user is told that it is done only where the server has said so; what
was sent and not answered may have been done, and is not sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from authbridge import model, preparation
from authbridge.ldap import active_directory, codec, names, ppolicy, verdicts
from authbridge.ldap.directory import Directory
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import ATTRIBUTE, LookupSettings, is_address
from authbridge.ldap.names import NameMistake, NameTemplate
from authbridge.ldap.operations import Operation, Search, Write
from authbridge.ldap.presets import Preset
from authbridge.model import JID, Outcome, Reason, rejected
from authbridge.printable import printable
from authbridge.secret import Secret
from authbridge.settings import Table

ENTRY_ALREADY_EXISTS: Final = 68
_FOR_ITS_NAME: Final = (codec.CONSTRAINT_VIOLATION, 21, 34, 64)
"""What an entry may be refused with for its name: also invalidAttributeSyntax, invalidDNSyntax and
namingViolation."""

_UNACCEPTABLE: Final = rejected(Reason.PASSWORD_UNACCEPTABLE)
_EXISTS: Final = rejected(Reason.USER_EXISTS)
_BAD_NAME: Final = rejected(Reason.USER_MALFORMED)

# ERROR_PASSWORD_RESTRICTION, as Active Directory begins its text: Windows under 53, Samba under 19.
_PASSWORD_RESTRICTION: Final = b"0000052D:"

# A server may take what looks like a value of userPassword for one, hash and all (RFC 2307, 5.3).
_HASHED: Final = re.compile(rb"\{[A-Za-z0-9/_-]+\}")

_PASSWORDS: Final = ("userpassword", "unicodepwd")

_VALUE: Final = re.compile(r"(\{user\}|\{domain\})")

Find = Callable[[], Coroutine[Operation, Any, bool]]
"""Whether a login would find the user. Raises Fault."""

log = Logger()


@dataclass(frozen=True, slots=True)
class NewUsers:
    """Where registration makes users, and what an entry gets beside its name and password."""

    dn: NameTemplate
    attributes: tuple[tuple[str, tuple[str, ...]], ...]
    """Values in which {user} and {domain} are the user's."""

    @classmethod
    def read(cls, table: Table, settings: LookupSettings, *, writes: bool) -> NewUsers | None:
        """From [checkers.NAME]; the table stays open. None where nobody is registered."""
        if "new_users" not in table:
            table.misplaced("new_user", "is what a new user's entry gets; new_users says where")
            return None
        below = table.text("new_users")
        preset = settings.preset
        if not writes and table.data.get("writes", False) is False:
            table.wrong("new_users", "is for writes = true")
        if preset.new_user is None:
            table.wrong("new_users", "this kind of directory has other ways to make a user")
        if settings.require_groups:
            table.wrong("new_users", "a new user is in no group, and require_groups wants one")
        given = _read_attributes(table.table("new_user"))
        known = {name.lower() for name in given}
        usual = {
            name: values for name, values in preset.new_user or () if name.lower() not in known
        }
        try:
            template = NameTemplate(f"{preset.rdn}={names.HOLE},{below}")
        except NameMistake as mistake:
            if below:
                table.wrong("new_users", f'"{below}": {mistake}')
            return None
        if not names.is_below(below, settings.base):
            table.wrong("new_users", f"{below} is not below base, where users are looked for")
        return cls(template, tuple((usual | given).items()))


def _read_attributes(table: Table) -> dict[str, tuple[str, ...]]:
    found = {}
    for name in table.data:
        if not ATTRIBUTE.fullmatch(name) or name.lower() in _PASSWORDS:
            table.wrong(name, "is no attribute that a new user may be given")
        text = table.given_as_text(name)
        found[name] = (table.text(name),) if text else table.texts(name)
    table.close()
    return found


class Change:
    """One change on its way. As long as nothing of it was sent it may be called back; then it goes
    on to its end though nobody may wait for it any more, since a user that is half made must not
    stay."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.found: Search | None = None
        """What has found whom it is about: that server is asked first."""
        self.pinned: Write | None = None
        """What has to be followed up at its own server alone: another may have somebody else under
        the DN that was made there."""
        self._done = False
        self._latest: Write | None = None

    @property
    def begun(self) -> bool:
        """Whether anything of it was sent."""
        return self._done or (self._latest is not None and self._latest.link is not None)

    @property
    def unheard(self) -> bool:
        """Whether what was sent last has no answer."""
        latest = self._latest
        sent = latest is not None and latest.link is not None
        return sent and getattr(latest, "result", None) is None

    async def send(self, request: bytes, kind: int) -> Write:
        """Send a request whose reply is of this kind. Raises Fault."""
        request += ppolicy.REQUEST
        write = await self._directory.write(
            request, kind, near=self.found, only=self.pinned, made=self._note
        )
        self._done = True
        return write

    def carry_out(self, work: Deferred[Outcome]) -> Deferred[Outcome]:
        """The outcome of the work, for somebody who may leave before it is there."""
        told: Deferred[Outcome] = Deferred(lambda _: None if self.begun else work.cancel())

        def tell(result: Outcome | Failure) -> None:
            if not told.called:
                told.callback(result)
            elif isinstance(result, Failure) and not result.check(CancelledError):
                log.failure("a change failed", result)

        work.addBoth(tell)
        return told

    def _note(self, write: Write) -> None:
        self._latest = write


class Writing:
    """Writes for one directory."""

    def __init__(self, settings: LookupSettings, new_users: NewUsers | None) -> None:
        self._settings = settings
        self._preset: Preset = settings.preset
        self._new_users = new_users

    @property
    def registers(self) -> bool:
        """Whether it makes users."""
        return self._new_users is not None

    async def set_password(self, dn: bytes, password: Secret, change: Change) -> Outcome:
        """Give this entry a new password. Raises Fault."""
        octets = password.reveal()
        refused = await self._set(dn, octets, change) if _acceptable(octets) else _UNACCEPTABLE
        return refused or model.PASSWORD_CHANGED

    async def register(self, jid: JID, password: Secret, change: Change, finds: Find) -> Outcome:
        """Make an entry for this user, who has none, and whom `finds` finds then. Raises Fault;
        there is none then, or the log says otherwise."""
        new, octets = self._new_users, password.reveal()
        assert new is not None
        if not _acceptable(octets):
            return _UNACCEPTABLE
        try:
            name = preparation.unescape(jid.local)
            dn = new.dn.fill(name.encode())
        except (preparation.Unprepared, NameMistake):
            return _BAD_NAME
        attributes = self._entry(new, name, jid)
        if self._preset.windows:
            attributes[b"unicodePwd"] = [active_directory.quoted(octets)]
        refused = await self._add(dn, attributes, change)
        if refused is not None:
            return refused
        try:
            if not self._preset.windows:
                refused = await self._set(dn, octets, change)
            found = refused is not None or await finds()
        except Fault:
            await self._take_back(dn, change)
            raise
        if refused is None and found:
            return model.USER_REGISTERED
        await self._take_back(dn, change)
        if refused is None:
            words = "a new user is not found by base, filter and jid_attribute"
            raise Fault(Reason.DIRECTORY_REFUSED, words)
        return refused

    async def _add(
        self, dn: bytes, attributes: dict[bytes, list[bytes]], change: Change
    ) -> Outcome | None:
        """Why the entry was not made, where that is for the user to know; None where it is there.
        Raises Fault."""
        try:
            added = await change.send(codec.add_request(dn, attributes), codec.ADD_RESPONSE)
        except Fault as fault:
            if change.unheard:
                log.error(
                    "directory: {dn} may have been made, without a password: {words}",
                    dn=printable(dn), words=fault.words,
                )  # fmt: skip
            raise
        change.pinned = added
        if added.result.code == ENTRY_ALREADY_EXISTS:
            return _EXISTS
        restricted = added.result.text.startswith(_PASSWORD_RESTRICTION)
        if added.result.code in _FOR_ITS_NAME and not restricted:
            _log_refusal(dn, added)
            return _BAD_NAME
        return _judge(dn, added, restricted=restricted)

    async def _take_back(self, dn: bytes, change: Change) -> None:
        """Delete an entry that was made a moment ago, and is of no use."""
        try:
            gone = (await change.send(codec.delete_request(dn), codec.DELETE_RESPONSE)).result
            said = "" if gone.code == codec.SUCCESS else names.describe(gone)
        except Fault as fault:
            said = fault.words
        if said:
            log.error(
                "directory: {dn} was made, is of no use and cannot be deleted: {said}",
                dn=printable(dn), said=said,
            )  # fmt: skip

    def _entry(self, new: NewUsers, name: str, jid: JID) -> dict[bytes, list[bytes]]:
        values = {"{user}": name, "{domain}": jid.domain}
        attributes = {
            attribute.encode(): [
                "".join(values.get(piece, piece) for piece in _VALUE.split(text)).encode()
                for text in texts
            ]
            for attribute, texts in new.attributes
        }
        own = self._settings.jid_attribute
        for attribute in list(attributes):
            if attribute.decode().lower() == own.lower():
                del attributes[attribute]
        attributes[own.encode()] = [
            f"{name}@{jid.domain}".encode() if is_address(own) else name.encode()
        ]
        return attributes

    async def _set(self, dn: bytes, password: bytes, change: Change) -> Outcome | None:
        """None where it is done, else why not. Raises Fault."""
        if self._preset.windows:
            value = active_directory.quoted(password)
            request, kind = codec.replace_request(dn, b"unicodePwd", value), codec.MODIFY_RESPONSE
        else:
            request, kind = codec.password_request(dn, password), codec.EXTENDED_RESPONSE
        write = await change.send(request, kind)
        restricted = write.result.text.startswith(_PASSWORD_RESTRICTION)
        broken = write.result.code == codec.CONSTRAINT_VIOLATION
        return _judge(dn, write, restricted=restricted or broken)


def _judge(dn: bytes, write: Write, *, restricted: bool) -> Outcome | None:
    """None where it is done. Raises Fault where something else than the password is why it is
    not. `restricted`: the password breaks a rule."""
    if write.result.code == codec.SUCCESS:
        return None
    if not restricted:
        raise verdicts.fault_of(write.result, "a change")
    _log_refusal(dn, write)
    return _UNACCEPTABLE


def _log_refusal(dn: bytes, write: Write) -> None:
    said = names.describe(write.result)
    if write.policy is not None and write.policy.words:
        said += f" ({write.policy.words})"
    log.info("directory: {dn} is not written: {said}", dn=printable(dn), said=said)


def _acceptable(password: bytes) -> bool:
    """Whether it may be anybody's new password: text, and none that reads as a hash of one."""
    try:
        password.decode()
    except UnicodeDecodeError:
        return False
    return _HASHED.match(password) is None
