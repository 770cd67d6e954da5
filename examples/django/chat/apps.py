"""What happens when somebody logs out of the site."""

import logging
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_out

from . import authbridge
from .people import jid_of

log = logging.getLogger(__name__)


class ChatConfig(AppConfig):
    """The application."""

    name = "chat"

    def ready(self) -> None:
        """Listen for logouts."""
        user_logged_out.connect(revoke_tokens, dispatch_uid="chat.revoke_tokens")


def revoke_tokens(user: Any, **_: Any) -> None:
    """What logs this user in to the chat does so no longer. He is logged out of the site whether
    this can be done or not, and gets no new credentials from then on."""
    jid = jid_of(user) if user is not None else None
    if jid is None or not settings.AUTHBRIDGE_REVOKE_AT_LOGOUT:
        return
    try:
        authbridge.revoke(jid)
    except (authbridge.Refused, authbridge.Unavailable) as error:
        log.error("The tokens of %s are not revoked: %s", jid, error)
