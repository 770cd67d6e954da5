"""Accounts that ejabberd and Prosody keep in a database themselves, put there by them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .daemon import write_private
from .sql_world import POSTGRESQL, Server, domain_of

_EJABBERD_TABLES = {"postgresql": "pg.sql", "mariadb": "mysql.sql"}
_EJABBERD = """\
  {domain}:
    auth_method: sql
    auth_password_format: scram
    auth_scram_hash: {hash}
    sql_type: {type}
    sql_server: "127.0.0.1"
    sql_port: {port}
    sql_database: "ejabberd"
    sql_username: "ejabberd"
    sql_password: {password}
    sql_pool_size: 1
"""
#: What ejabberd hashes with, by server.
EJABBERD_HASHES = {"postgresql": "sha256", "mariadb": "sha"}
#: What Prosody does.
PROSODY_HASHES = {"postgresql": "SHA-1", "mariadb": "SHA-256"}

_PROSODY = """\
data_path = "{folder}/data"
run_as_root = true
modules_enabled = {{ "saslauth", "posix" }}
log = {{ info = "{folder}/prosody.log" }}
authentication = "internal_hashed"
password_hash = "{hash}"
storage = "sql"
sql = {{
    driver = "{driver}", database = "prosody", username = "prosody", password = {password},
    host = "127.0.0.1", port = {port},
}}
VirtualHost "{domain}"
"""


def _own_database(server: Server, kind: str, name: str) -> str:
    """A database of a program's own, and a user of its name for it; his password."""
    server.make_database(name)
    password = server.make_user(name).read_text().strip()
    if kind == POSTGRESQL:
        server.execute(name, f"GRANT ALL ON SCHEMA public TO {name}")
    else:
        server.execute(name, f"GRANT ALL ON {name}.* TO {name}@'%'")
    return password


def ejabberd(server: Server, kind: str) -> str:
    """Make the tables that ejabberd's own script makes; the lines below `host_config:`."""
    password = _own_database(server, kind, "ejabberd")
    script = Path("/usr/share/ejabberd/sql", _EJABBERD_TABLES[kind]).read_text()
    lines = (line for line in script.splitlines() if not line.startswith("--"))
    server.execute("ejabberd", "\n".join(lines))
    if kind == POSTGRESQL:
        server.execute("ejabberd", "GRANT ALL ON ALL TABLES IN SCHEMA public TO ejabberd")
        server.execute("ejabberd", "GRANT SELECT ON users TO reader")
    else:
        server.execute("ejabberd", "GRANT SELECT ON ejabberd.users TO reader@'%'")
    return _EJABBERD.format(
        domain=domain_of(kind, "ejabberd"),
        hash=EJABBERD_HASHES[kind],
        type="pgsql" if kind == POSTGRESQL else "mysql",
        port=server.port,
        password=json.dumps(password),
    )


def prosody(folder: Path, server: Server, kind: str, users: Mapping[str, bytes]) -> None:
    """Have prosodyctl make them. Passwords are among its arguments, for everybody to see."""
    password = _own_database(server, kind, "prosody")
    name = domain_of(kind, "prosody")
    (folder / "data").mkdir(parents=True)
    configuration = folder / "prosody.cfg.lua"
    text = _PROSODY.format(
        folder=folder,
        hash=PROSODY_HASHES[kind],
        driver="PostgreSQL" if kind == POSTGRESQL else "MySQL",
        password=json.dumps(password),
        port=server.port,
        domain=name,
    )
    write_private(configuration, text.encode())
    for user, given in users.items():
        done = subprocess.run(
            ["prosodyctl", "--config", str(configuration), "register", user, name, given.decode()],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    if kind == POSTGRESQL:
        server.execute("prosody", "GRANT SELECT ON prosody TO reader")
    else:
        server.execute("prosody", "GRANT SELECT ON prosody.prosody TO reader@'%'")
