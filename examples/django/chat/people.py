"""Who of the site's users is who in the chat."""

import re
from typing import Any

from django.conf import settings

# XMPP servers make Alice and alice one user, Django two. Who can register here has to have a name
# like these; anybody else has no chat. authbridge's `jid = "{user}"` goes by the same names.
_NAMES = re.compile(r"[a-z0-9._-]{1,64}")


def chat_name(user: Any) -> str | None:
    """What stands before the @ in his JID; None for who has none, or is not logged in."""
    if not user.is_authenticated or not _NAMES.fullmatch(user.get_username()):
        return None
    name: str = user.get_username()
    return name


def jid_of(user: Any) -> str | None:
    """His bare JID."""
    name = chat_name(user)
    return None if name is None else f"{name}@{settings.CHAT_DOMAIN}"
