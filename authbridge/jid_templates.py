"""How the localpart of a JID is made of somebody else's name for a user: "{user}", "web-{user}"."""

from __future__ import annotations

import unicodedata

from authbridge import preparation
from authbridge.settings import Table

USER = "{user}"

Template = tuple[str, str]
"""What stands before and behind the name."""


PLAIN: Template = ("", "")
"""The name itself."""


def read_template(table: Table, rest: str = "`domain`") -> Template:
    """`jid` of a table. `rest`: what the part of a JID behind the @ is."""
    text = table.text("jid", USER)
    before, found, behind = text.partition(USER)
    if "jid" in table.mistaken:
        pass  # which has been said
    elif not found or "{" in before + behind or "}" in before + behind:
        table.wrong("jid", f'should hold {USER} once, as in "{USER}" or "web-{USER}"')
    elif "@" in text:
        table.wrong("jid", f"is what stands before the @ in a JID; the rest is {rest}")
    elif before + behind:
        example = f"{before}x{behind}"
        try:
            if preparation.local(example.encode()) != example:
                table.wrong("jid", "is another one to XMPP: small letters, in their usual form")
        except preparation.Unprepared as error:
            table.wrong("jid", str(error))
    return before, behind


def localpart(template: Template, name: str, *, ignore_case: bool) -> str:
    """The localpart of a user, by somebody else's name for him. Raises preparation.Unprepared.

    XMPP takes many spellings for one name. What is none of its own form is refused, since it may
    have been given to somebody else: who calls himself ALICE there, or has an invisible character
    in his name, would be alice.
    """
    if not name:
        raise preparation.Unprepared("it is empty")
    before, behind = template
    name = folded(name, ignore_case=ignore_case)
    spelled = f"{before}{name}{behind}"
    try:
        local = preparation.local(spelled.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        raise preparation.Unprepared("it is no text") from None
    if local != spelled:
        raise preparation.Unprepared("it is another name to XMPP")
    return local


def folded(name: str, *, ignore_case: bool) -> str:
    """A name in small letters, where those count for the same."""
    # What looks like another capital, as the Kelvin sign like K, is none of the same name.
    if ignore_case and unicodedata.is_normalized("NFKC", name):
        return name.lower()
    return name


def name_within(template: Template, local: str) -> str | None:
    """The name that a prepared localpart is made of; None where it is made of none."""
    before, behind = template
    if len(local) <= len(before) + len(behind):
        return None
    if not (local.startswith(before) and local.endswith(behind)):
        return None
    return local[len(before) : len(local) - len(behind)]
