"""What is usual in the tables of well-known programs: the query, and how passwords are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from authbridge.sql.address import Dialect


@dataclass(frozen=True, slots=True)
class Preset:
    """A program's tables."""

    query: str
    """«…» stands around names that need the dialect's quotes; {prefix} is `table_prefix`."""
    hashes: tuple[str, ...]
    prefix: str | None = None
    """What the names of its tables begin with, where that is a choice."""
    salt_encoding: str = "base64"
    """Of SCRAM's salt."""

    def query_for(self, dialect: Dialect, prefix: str) -> str:
        """The query, in a dialect."""
        text = self.query.replace("{prefix}", prefix)
        return text.replace("«", dialect.quote).replace("»", dialect.quote)


_SCRAM: Final = ("scram-sha-1", "scram-sha-256", "scram-sha-512")

# Of several rows for one user, one for each hash, the strongest; its kind is told by its length.
# Older ejabberds write "sha256:" before it (ejabberd_auth_sql.erl).
_EJABBERD: Final = """
    SELECT username{host}, salt, iterationcount AS iterations,
           CASE WHEN salt = '' THEN password END AS password,
           CASE WHEN salt = '' THEN NULL
                WHEN password LIKE 'sha___:%' THEN SUBSTR(password, 8)
                ELSE password END AS stored_key
    FROM users WHERE username = :localpart{and_host}
    ORDER BY LENGTH(password) DESC LIMIT 1"""

PRESETS: Final = {
    # Of AbstractUser in django.contrib.auth.models.
    "django": Preset(
        "SELECT username, password, is_active AS enabled FROM {prefix}auth_user"
        " WHERE username = :user",
        ("django",),
        prefix="",
    ),
    # Of wp-admin/includes/schema.php.
    "wordpress": Preset(
        "SELECT user_login AS username, user_pass AS password FROM {prefix}users"
        " WHERE user_login = :user",
        ("wordpress",),
        prefix="wp_",
    ),
    # Of lib/private/User: Database.php, and isEnabled of User.php.
    "nextcloud": Preset(
        """
    SELECT u.uid AS username, u.password AS password,
           CASE WHEN EXISTS (SELECT 1 FROM {prefix}preferences p
                             WHERE p.userid = u.uid AND p.appid = 'core'
                             AND p.configkey = 'enabled' AND p.configvalue = 'false')
                THEN 1 ELSE 0 END AS disabled
    FROM {prefix}users u WHERE u.uid_lower = LOWER(:user)""",
        ("nextcloud",),
        prefix="oc_",
    ),
    # Of mod_storage_sql and mod_auth_internal_hashed.
    "prosody": Preset(
        """
    SELECT «user» AS username, «host» AS domain,
           MAX(CASE WHEN «key» = 'stored_key' THEN «value» END) AS stored_key,
           MAX(CASE WHEN «key» = 'salt' THEN «value» END) AS salt,
           MAX(CASE WHEN «key» = 'iteration_count' THEN «value» END) AS iterations,
           MAX(CASE WHEN «key» = 'password' THEN «value» END) AS password,
           MAX(CASE WHEN «key» = 'disabled' AND «value» = 'true' THEN 1 ELSE 0 END) AS disabled
    FROM «prosody» WHERE «host» = :domain AND «user» = :localpart AND «store» = 'accounts'
    GROUP BY «user», «host»""",
        _SCRAM,
        salt_encoding="text",
    ),
    # Of sql/pg.sql and ejabberd_auth_sql.
    "ejabberd": Preset(_EJABBERD.replace("{and_host}", "").replace("{host}", ""), _SCRAM),
    # With `new_sql_schema`, later `sql_schema_multihost`.
    "ejabberd-multihost": Preset(
        _EJABBERD.replace("{and_host}", " AND server_host = :domain").replace(
            "{host}", ", server_host AS domain"
        ),
        _SCRAM,
    ),
}
