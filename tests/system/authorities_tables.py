"""Users in the tables of programs, put there by these where they are to be had."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

_DJANGO = """
import json
import sys

import django
from django.conf import settings
from django.core.management import call_command

database, users = json.load(sys.stdin)
settings.configure(
    SECRET_KEY="of the tests",
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers." + name for name in (
        "PBKDF2PasswordHasher", "ScryptPasswordHasher", "Argon2PasswordHasher",
        "BCryptSHA256PasswordHasher", "PBKDF2SHA1PasswordHasher",
    )],
    DATABASES={"default": database},
)
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

for name, (password, hasher, active) in users.items():
    user = User(username=name, is_active=active)
    user.password = make_password(password, hasher=hasher)
    user.save()
"""

#: Of a user: the password, or None for who has none; the hasher's name; whether he is active.
DjangoUser = tuple[bytes | None, str, bool]


def django(database: Mapping[str, Any], users: Mapping[str, DjangoUser]) -> None:
    """Have Django make its tables there, and its users. `database` as in DATABASES."""
    shown = {
        name: (None if password is None else password.decode(), hasher, active)
        for name, (password, hasher, active) in users.items()
    }
    done = subprocess.run(
        [sys.executable, "-c", _DJANGO],
        input=json.dumps([database, shown]),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")


# As WordPress has it: wp_hash_password since 6.8, PasswordHash before.
_WORDPRESS = """
foreach (json_decode(stream_get_contents(STDIN), true) as $password) {
    $mac = base64_encode(hash_hmac('sha384', trim($password), 'wp-sha384', true));
    echo '$wp', password_hash($mac, PASSWORD_BCRYPT), "\\n";
}
"""


def wordpress_hashes(*passwords: bytes) -> list[str]:
    """What WordPress 6.8 stores of them."""
    done = subprocess.run(
        ["php", "-r", _WORDPRESS],
        input=json.dumps([password.decode() for password in passwords]),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()
