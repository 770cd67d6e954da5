"""What is known of how some websites are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings that count where the administrator gives no other."""

    settings: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the site wants besides."""
    secret: bool = False
    """It answers nobody who does not show one."""


PRESETS = {
    # JSXC's app for Nextcloud and ownCloud, and what else xmpp-cloud-auth is used with. Its `uid`
    # is that of the account that was let in, which may have been found by another name.
    "xcauth": Preset(
        {
            "request": "xcauth",
            "refused": [],
            "answer_member": "result",
            "accepted_value": "success",
            "refused_value": "noauth",
            "user_member": "data.uid",
            "ignore_case": True,
        }
    ),
    # Nextcloud by itself: the account's password, or one of its app passwords. Accounts are found
    # by their mail addresses too, so that the answer has to name the account.
    "nextcloud": Preset(
        {"request": "basic", "user_member": "ocs.data.id", "ignore_case": True},
        {"OCS-APIRequest": "true"},
    ),
    # examples/django: chat.accounts. A 401 is about our secret, never about a user.
    "django": Preset(
        {
            "request": "json",
            "refused": [],
            "answer_member": "accepted",
            "user_member": "user",
        },
        secret=True,
    ),
}
