"""The administrator's query: what may be in it, and by which name it asks."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from sqlalchemy import TextClause, text

from authbridge import preparation
from authbridge.model import JID
from authbridge.settings import did_you_mean

_BEGIN = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?P<word>[a-z]+)", re.DOTALL | re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'")
DOMAIN = "domain"


class NameForm(enum.Enum):
    """By which parameter a query asks for the user; and so how `username` is written."""

    USER = "user"
    """The name that the localpart stands for (XEP-0106): o'brien."""
    LOCALPART = "localpart"
    r"""The localpart as it is: o\27brien. So XMPP servers store it."""
    ADDRESS = "jid"
    """user@domain."""

    def write(self, jid: JID) -> str:
        """The user's name in this form. Raises Unprepared where no name is written so."""
        if self is NameForm.USER:
            return preparation.unescape(jid.local)
        return jid.local if self is NameForm.LOCALPART else str(jid)

    def stands_for(self, name: str, jid: JID, domain: str | None = None) -> bool:
        """Whether a name of this form, as the database has it, is this user's and nobody else's;
        and the domain, where it tells that too."""
        try:
            if domain is not None and preparation.domain(domain.encode()) != jid.domain:
                return False
            if self is NameForm.ADDRESS:
                return preparation.jid(name) == jid
            local = preparation.escape(name) if self is NameForm.USER else name
            return preparation.local(local.encode()) == jid.local
        except (preparation.Unprepared, UnicodeEncodeError):
            return False


PARAMETERS = (*(form.value for form in NameForm), DOMAIN)


class QueryMistake(ValueError):
    """This is no query that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was judged."""

    text: str
    form: NameForm
    by_domain: bool
    """Whether the domain is asked for too."""

    @classmethod
    def parse(cls, written: str) -> Query:
        """Judge it. Raises QueryMistake."""
        statement = written.strip().rstrip(";").rstrip()
        begin = _BEGIN.match(statement)
        if begin is None or begin["word"].upper() not in ("SELECT", "WITH"):
            raise QueryMistake("should be a SELECT")
        used = set(text(statement).compile().params)
        for name in sorted(used.difference(PARAMETERS)):
            raise QueryMistake(
                f"has the parameter :{name}, which there is not{did_you_mean(name, PARAMETERS)}; "
                r"for a colon that begins none write \:"
            )
        for quoted in _QUOTED.findall(statement):
            for name in used:
                if re.search(rf"(?<![:\w\\]):{name}\b", quoted):
                    raise QueryMistake(f"has :{name} between quotes; parameters stand without them")
        forms = [form for form in NameForm if form.value in used]
        if not forms:
            raise QueryMistake("asks for nobody: WHERE … = :user (or :localpart, or :jid)")
        if len(forms) > 1:
            names = " and ".join(f":{form.value}" for form in forms)
            raise QueryMistake(f"asks for the user by {names}; one of them is the user's name")
        return cls(statement, forms[0], DOMAIN in used)

    def statement(self) -> TextClause:
        """For SQLAlchemy."""
        return text(self.text)

    def parameters(self, jid: JID) -> dict[str, str]:
        """What is bound, for a user. Raises Unprepared."""
        bound = {self.form.value: self.form.write(jid)}
        if self.by_domain:
            bound[DOMAIN] = jid.domain
        return bound
