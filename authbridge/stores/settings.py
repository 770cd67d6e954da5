"""`state` of [authbridge]: where tokens are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from authbridge.client_tls import read_ca_file
from authbridge.settings import Table
from authbridge.stores.operations import Store
from authbridge.stores.redis_settings import RedisSettings, parse
from authbridge.stores.sqlite import SqliteStore

DEFAULT = "/var/lib/authbridge/state.sqlite3"
_REDIS_ALONE = ("state_password_file", "state_ca_file", "state_insecure_clear_text")


@dataclass(frozen=True, slots=True)
class StateSettings:
    """`state` and what belongs to it."""

    path: Path | None
    """Of the SQLite file."""
    redis: RedisSettings | None
    """One of the two is given."""

    @classmethod
    def read(cls, table: Table) -> StateSettings:
        """Read the settings; the table is somebody else's to close."""
        text = table.text("state", DEFAULT)
        if "://" not in text:
            for setting in _REDIS_ALONE:
                table.misplaced(setting, "is about Redis, and `state` is a file")
            return cls(table.folder / text, None)
        table.knows(*_REDIS_ALONE)
        try:
            redis = parse(text)
        except ValueError as error:
            table.wrong("state", str(error))
            return cls(table.folder, None)
        if "state_password_file" in table:
            redis = replace(redis, password=table.secret_file("state_password_file"))
        if redis.tls:
            redis = replace(redis, ca_file=read_ca_file(table, "state_ca_file"))
            table.misplaced("state_insecure_clear_text", "is about redis://, and this is rediss://")
        else:
            table.misplaced("state_ca_file", "is about TLS, which rediss:// has and redis:// not")
            if not table.boolean("state_insecure_clear_text", False) and redis.clear_text:
                table.wrong(
                    "state",
                    "is another machine's, unencrypted: whoever is on the way could log in as "
                    "anybody; give rediss://, or state_insecure_clear_text = true",
                )
        return cls(None, redis)

    @property
    def shared(self) -> bool:
        """Whether several processes may use it."""
        return self.redis is not None

    def make(self) -> Store:
        """The store."""
        if self.redis is not None:
            # Whoever has no Redis need not load a client of it, which is a third of a start.
            from authbridge.stores.redis import RedisStore

            return RedisStore(self.redis, os.urandom)
        assert self.path is not None  # one of the two is given
        return SqliteStore(self.path, create=True)
