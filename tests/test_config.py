"""The configuration as a whole."""

from __future__ import annotations

import dataclasses
import functools
import os
import pwd
import re
import secrets
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from authbridge import config, password_hash
from authbridge.settings import ConfigurationError

ME = pwd.getpwuid(os.geteuid()).pw_name
HASH = password_hash.make(b"wonderland", password_hash.Cost(8, 1, 1))
MANUAL = Path(__file__).parent.parent / "conf" / "authbridge.toml"

GOOD = f"""
[listen]
extauth = ["unix:/tmp/x/extauth.sock:mode=660"]
http = ["tcp:9281:interface=127.0.0.1"]
control = ["unix:/tmp/x/control.sock:mode=600"]
[extauth]
users = ["{ME}"]
[clients.prosody]
secret_file = "secret"
may = ["check_password"]
domains = ["example.org"]
[domains."example.org"]
check = ["local"]
[domains."Example.NET"]
check = ["local"]
exists = "always"
[checkers.local]
kind = "file"
path = "users"
"""


@pytest.fixture
def folder(tmp_path):
    for name, content in (("secret", "through-the-glass"), ("users", f"alice@example.org:{HASH}")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def load(folder, text):
    path = folder / "authbridge.toml"
    path.write_text(text)
    return config.load(path)


def mistakes(folder, text):
    with pytest.raises(ConfigurationError) as raised:
        load(folder, text)
    return list(raised.value.mistakes)


def test_a_good_configuration_is_composed(folder):
    read = load(folder, GOOD)
    assert read.deadline == read.extauth.deadline == read.http.deadline == 8
    assert read.extauth.uids == {os.geteuid()}
    assert read.clients["prosody"].secret.matches(b"through-the-glass")
    assert read.domains["example.org"] == config.DomainSettings(("local",), ("local",))
    assert read.domains["example.net"] == config.DomainSettings(("local",), True)
    assert read.checkers["local"].settings.path == folder / "users"
    assert "through-the-glass" not in repr(read)


def test_each_front_end_may_have_its_own_deadline(folder):
    text = GOOD.replace(
        "[extauth]", '[authbridge]\ndeadline = "5s"\n[http]\ndeadline = "2s"\n[extauth]'
    )
    read = load(folder, text)
    assert (read.deadline, read.extauth.deadline, read.http.deadline) == (5, 5, 2)


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("[listen]", "[listne]", "listne: there is no such setting; did you mean \"listen\"?"),
        ('["local"]\n[domains', '["locl"]\n[domains', 'no [checkers.locl]; did you mean "local"?'),
        ('kind = "file"', 'kind = "fiel"', 'there is no kind "fiel"; did you mean "file"?'),
        ('kind = "file"', 'kind = "no.such.module"', "kind: no.such.module cannot be imported"),
        ('kind = "file"', 'kind = "os.path"', "os.path is no kind of checker"),
        ('kind = "file"', 'kind = ".file"', "kind: .file cannot be imported"),
        ('"users"', '"us\\u0000ers"', "checkers.local.path: should be a string"),
        ("x/control.sock", "x/extauth.sock", 'unix:/tmp/x/extauth.sock:mode=600" is given twice'),
        ("[extauth]", "[http]\ndeadline = 1e-9\n[extauth]", "http.deadline: should be between"),
        ("[extauth]", "[extauth]\ndeadline = 1" + "0" * 400, "extauth.deadline: should be"),
        ('kind = "file"', "", "checkers.local.kind: is missing"),
        ('"users"', '"user"', "checkers.local.path: "),
        ('"secret"', '"secre"', "clients.prosody.secret_file: "),
        ('"always"', '"allways"', 'exists: "allways" is not known; did you mean "always"?'),
        ('"always"', '["nobody"]', "exists: there is no [checkers.nobody]"),
        ('check = ["local"]\nexists', "check = []\nexists", "check: names no checker"),
        ('["example.org"]', '["example.com"]', "\"example.com\" is not served"),
        ('"Example.NET"', '"EXAMPLE.org"', "is the same domain as another table: example.org"),
        ('"Example.NET"', '"a b"', 'domains."a b": the domain is not a host name'),
        ("unix:/tmp/x/control.sock:mode=600", "tcp:1", '"tcp:1" must be a Unix socket'),
        ("[extauth]", "[http]\nanonymous = true\n[extauth]", None),
        (":interface=127.0.0.1", ":interface=0.0.0.0", None),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_key(folder, old, new, mistake):
    assert old in GOOD
    text = GOOD.replace(old, new)
    if mistake is None:
        load(folder, text)
        return
    found = mistakes(folder, text)
    assert any(mistake in line for line in found), found
    if old != "[listen]":
        assert len(found) == 1, found


def test_all_mistakes_are_reported_at_once(folder):
    text = (
        GOOD.replace('"secret"', '"secre"').replace('"users"', '"user"') + "\n[log]\nformat = 3\n"
    )
    assert len(mistakes(folder, text)) == 3


def test_anonymous_callers_are_for_loopback_alone(folder):
    text = GOOD.replace(":interface=127.0.0.1", "") + "\n[http]\nanonymous = true\n"
    (line,) = mistakes(folder, text)
    assert line.startswith("http.anonymous: is only for listeners on loopback")


def test_a_configuration_that_serves_nobody_is_a_mistake(folder):
    found = mistakes(folder, "")
    assert [line.partition(":")[0] for line in found] == ["domains", "listen"]
    text = GOOD[: GOOD.index("[clients")] + GOOD[GOOD.index("[domains") :]
    assert mistakes(folder, text)[0].startswith("clients: listen.http serves nobody yet")


DIRECT = """
[checkers.direct]
kind = "ldap"
servers = ["ldaps://ldap.example.org"]
user_dn = "uid={user},dc=example,dc=org"
"""


@pytest.mark.parametrize("exists", ['"always"', '"never"', '["local"]'])
def test_a_checker_that_cannot_tell_who_exists_serves_with_an_exists_of_its_own(folder, exists):
    text = GOOD.replace('["local"]\n[domains', f'["local", "direct"]\nexists = {exists}\n[domains')
    read = load(folder, text + DIRECT)
    assert read.domains["example.org"].check == ("local", "direct")
    assert not read.checkers["direct"].knows_users
    assert read.checkers["local"].knows_users


@pytest.mark.parametrize("exists", ["", 'exists = ["local", "direct"]\n'])
def test_a_checker_that_cannot_tell_who_exists_is_not_asked(folder, exists):
    text = GOOD.replace('["local"]\n[domains', f'["local", "direct"]\n{exists}[domains')
    (line,) = mistakes(folder, text + DIRECT)
    assert line.startswith('domains."example.org".exists: direct cannot tell who exists')


def test_a_checker_with_a_mistake_is_not_said_to_be_missing_from_exists(folder):
    text = GOOD.replace('kind = "file"', 'kind = "fiel"')
    assert len(mistakes(folder, text)) == 1


CORP = """
[checkers.corp]
kind = "ldap"
servers = ["ldaps://a.example.org"]
base = "dc=example,dc=org"
bind_dn = "cn=service,dc=example,dc=org"
bind_password_file = "secret"
writes = true
new_users = "ou=people,dc=example,dc=org"
"""


def served(folder, checkers, **domains):
    """A configuration with these checkers and domains, and the mistakes in it."""
    tables = "".join(f'[domains."{name}"]\n{text}\n' for name, text in domains.items())
    text = GOOD[: GOOD.index('[domains."example.org"]')] + tables
    text = text.replace('domains = ["example.org"]', "domains = []")
    text += GOOD[GOOD.index("[checkers.local]") :] + checkers
    try:
        return load(folder, text), []
    except ConfigurationError as error:
        return None, list(error.mistakes)


# --- deadlines ------------------------------------------------------------------------------------


TWO = CORP.replace('org"]', 'org", "ldaps://b.example.org"]')
BY_DNS = CORP.replace('["ldaps://a.example.org"]', '"srv:example.org"')


def timed(folder, checker, deadlines):
    text = GOOD.replace("[extauth]", f"{deadlines}\n[extauth]")
    text = text.replace('check = ["local"]\n[dom', 'check = ["corp"]\n[dom')
    try:
        load(folder, text + checker)
    except ConfigurationError as error:
        return list(error.mistakes)
    return []


@pytest.mark.parametrize(
    ("deadlines", "fits"),
    [
        ("", True),
        ('[authbridge]\ndeadline = "5.5s"', True),
        ('[authbridge]\ndeadline = "5.4s"', False),
        ('[authbridge]\ndeadline = "25s"\n[http]\ndeadline = "5s"', False),
        ('[authbridge]\ndeadline = "5s"\n[http]\ndeadline = "8s"', False),
        ('[authbridge]\ndeadline = "5.5s"\n[http]\ndeadline = "8s"', True),
    ],
)
def test_a_deadline_leaves_time_for_a_second_server(folder, deadlines, fits):
    for several in (TWO, BY_DNS):
        found = [line.partition(": ")[0] for line in timed(folder, several, deadlines)]
        assert found == ([] if fits else ["checkers.corp.timeout"])
    assert timed(folder, CORP, deadlines) == []


@pytest.mark.parametrize(("timeout", "fits"), [("6.5s", True), ("6.6s", False), ("25s", False)])
def test_a_timeout_leaves_time_for_a_second_server(folder, timeout, fits):
    found = timed(folder, TWO + f'timeout = "{timeout}"\n', "")
    if fits:
        assert found == []
    else:
        assert found == [
            f"checkers.corp.timeout: with {timeout[:-1]} s for a server, the deadline of 8 s "
            "leaves less than 1.5 s to ask another"
        ]
    assert timed(folder, CORP + 'timeout = "25s"\n', "") == []


# --- registration ---------------------------------------------------------------------------------


@pytest.mark.parametrize("check", ['["corp", "direct"]', '["direct", "corp"]'])
@pytest.mark.parametrize("exists", ['"never"', '["corp"]', '["local"]'])
def test_who_cannot_tell_who_exists_is_not_asked_beside_who_registers(folder, check, exists):
    """A stranger could register a name of theirs, and would be let in as that user."""
    domain = f"check = {check}\nexists = {exists}"
    _, found = served(folder, CORP + DIRECT, **{"example.org": domain})
    (line,) = found
    assert line.startswith('domains."example.org".check: direct cannot tell who exists, so that')
    quiet = CORP[: CORP.index("new_users")]
    assert served(folder, quiet + DIRECT, **{"example.org": domain})[1] == []


def test_who_registers_may_be_asked_beside_who_can_tell(folder):
    domain = 'check = ["local", "corp"]'
    read, found = served(folder, CORP, **{"example.org": domain})
    assert found == []
    assert read.checkers["corp"].registers
    assert read.checkers["corp"].patience == 0
    local = read.checkers["local"]
    assert (local.registers, local.patience, local.knows_users) == (False, 0, True)


@pytest.mark.parametrize(
    ("here", "there", "unasked"),
    [
        ('check = ["corp"]', 'check = ["local", "corp"]', "local"),
        ('check = ["corp"]', 'check = ["corp", "local"]', "local"),
        ('check = ["corp"]\nexists = "never"', 'check = ["corp", "local"]', "local"),
        ('check = ["corp"]', 'check = ["local", "more", "corp"]', "local and more"),
        ('check = ["corp", "more"]', 'check = ["local", "more", "corp"]', "local"),
        ('check = ["corp"]', 'check = ["local", "corp"]\nexists = "always"', "local"),
    ],
)
@pytest.mark.parametrize("name", ["example.net", "*"])
def test_who_registers_here_is_nobodys_namesake_there(folder, here, there, unasked, name):
    """One entry logs in wherever its checker is asked: alice of one domain would be the other's."""
    more = CORP + '[checkers.more]\nkind = "file"\npath = "users"\n'
    _, found = served(folder, more, **{"example.org": here, name: there})
    (line,) = found
    assert line == (
        f'domains."example.org".check: corp registers users here, who may then log in at {name}, '
        f"where {unasked} may have another of the name; ask them here too, or give each domain a "
        "checker of its own"
    )


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ('check = ["corp"]', 'check = ["corp"]'),
        ('check = ["local", "corp"]', 'check = ["corp", "local"]'),
        ('check = ["corp"]\nexists = ["corp", "local"]', 'check = ["local"]'),
        ('check = ["corp"]', 'check = ["local"]'),
        ('check = ["corp"]\nexists = ["corp", "local"]',
         'check = ["local", "corp"]\nexists = ["local"]'),
    ],
)  # fmt: skip
def test_domains_that_ask_the_same_have_no_namesakes(folder, here, there):
    _, found = served(folder, CORP, **{"example.org": here, "example.net": there})
    assert [line for line in found if line.startswith('domains."example.org"')] == []


@pytest.mark.parametrize("check", ['["corp"]', '["corp", "direct"]'])
def test_where_everybody_exists_nobody_is_registered(folder, check):
    domains = {
        "example.org": f'check = {check}\nexists = "always"',
        "example.net": 'check = ["local", "corp"]\nexists = "always"',
    }
    assert served(folder, CORP + DIRECT, **domains)[1] == []


def test_a_checker_that_is_missing_or_mistaken_is_said_to_be_that_alone(folder):
    domains = {"example.org": 'check = ["corp", "nobody"]', "example.net": 'check = ["corp"]'}
    _, found = served(folder, CORP.replace('kind = "ldap"', 'kind = "ldpa"'), **domains)
    assert len(found) == 2
    assert any("there is no [checkers.nobody]" in line for line in found)


# --- files ----------------------------------------------------------------------------------------


def test_a_star_serves_the_domains_of_any_client(folder):
    load(
        folder,
        GOOD.replace('"example.org"]\ncheck', '"*"]\ncheck').replace(
            '["example.org"]', '["any.test"]'
        ),
    )


# --- the file, and the manual ---------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_said_so(folder):
    deep = b"a = " + b"[" * 100_000
    digits = b"a = " + b"1" * 5_000
    for text, said in (
        (digits, "too long a number"),
        (b"a = ", "is not TOML"),
        (deep, "nested too deeply"),
        (b"\xff", "is not UTF-8"),
    ):
        (folder / "c").write_bytes(text)
        with pytest.raises(ConfigurationError, match=said):
            config.load(folder / "c")
    with pytest.raises(ConfigurationError, match="No such file"):
        config.load(folder / "nowhere")


@functools.cache
def authority() -> str:
    """The certificate of an authority, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def issuer_key() -> str:
    """The public half of a pair, in PEM."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def manual(folder) -> str:
    """conf/authbridge.toml with its paths and its user made those of this test."""
    content = {"users": f"alice@example.org:{HASH}", "ca.pem": authority()}
    content |= {
        "keys/forum.secret": "f" + secrets.token_hex(32),
        "keys/nextcloud.secret": secrets.token_hex(16),
    }
    content |= {"proxy-secret": secrets.token_hex(16)}
    content |= {"keys/www/www.pem": issuer_key(), "keys/forum.pem": issuer_key()}
    named = (
        "clients/prosody", "clients/website", "bind-password", "redis-password", "website-secret",
        "jsxc-secret", "provider-secret", "database-password",
    )  # fmt: skip
    for name in (*content, *named):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.get(name, "secret"))
        path.chmod(0o600)
    text = MANUAL.read_text(encoding="utf-8").replace("/etc/authbridge", str(folder))
    return text.replace('#users = ["ejabberd"]', f'users = ["{ME}"]')


def switched_on(text: str) -> str:
    """Every setting that the manual has commented out, as a setting."""
    return re.sub(r"^#(?=[a-z_]+\s*=|\[)", "", text, flags=re.MULTILINE)


def with_redis(text: str) -> str:
    """The manual with what it has in the place of a file."""
    return re.sub(r"^#   (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)


CLEAR_TEXT = "state_insecure_clear_text = true"
BOSH_CLEAR_TEXT = "bosh_insecure_clear_text = true"
SITE_CLEAR_TEXT = " insecure_clear_text = true is needed"
"""What the manual has in a sentence, and not on a line of its own: nobody should just take a "#"
away."""


def in_clear_text(text: str) -> str:
    """The same with the one setting that goes with redis:// to another machine."""
    text = re.sub("(?m)^state_ca_file = .*\n", "", with_redis(text))
    return text.replace('state = "rediss://', f'{CLEAR_TEXT}\nstate = "redis://')


def with_bosh_in_clear_text(text: str) -> str:
    """The manual with all of it on, and a BOSH service on another machine without TLS."""
    text = re.sub("(?m)^bosh_ca_file = .*\n", "", switched_on(text))
    return text.replace('bosh_url = "https://', f'{BOSH_CLEAR_TEXT}\nbosh_url = "http://')


def with_a_site_in_clear_text(text: str) -> str:
    """The manual with all of it on, and a site on another machine without TLS."""
    before, table, session = switched_on(text).partition("[sites.www.session]\n")
    session = re.sub("(?m)^ca_file = .*\n", "", session, count=1)
    session = session.replace('url = "https://', 'url = "http://', 1)
    return f"{before}{table}insecure_clear_text = true\n{session}"


def test_the_manual_loads_with_bosh_in_clear_text_where_it_says_so(folder):
    text = manual(folder)
    assert text.count(BOSH_CLEAR_TEXT) == 1
    bosh = load(folder, with_bosh_in_clear_text(text)).domains["chat.example.org"].bosh
    assert bosh.url == "http://chat.example.org:5281/http-bind"
    with pytest.raises(ConfigurationError, match=f"bosh_url: .*; {BOSH_CLEAR_TEXT}"):
        load(folder, with_bosh_in_clear_text(text).replace(f"\n{BOSH_CLEAR_TEXT}\n", "\n"))


def test_the_manual_loads_with_a_site_in_clear_text_where_it_says_so(folder):
    text = manual(folder)
    assert text.partition("\n#[sites.www]")[2].count(SITE_CLEAR_TEXT) == 1
    session = load(folder, with_a_site_in_clear_text(text)).sites["www"].session
    assert session.own.url == "http://www.example.org/whoami"
    with pytest.raises(ConfigurationError, match=r"url: .*; insecure_clear_text = true"):
        load(folder, with_a_site_in_clear_text(text).replace("\ninsecure_clear_text = true", ""))


def test_the_manual_loads_with_redis_in_clear_text_where_it_says_so(folder):
    text = manual(folder)
    assert text.count(CLEAR_TEXT) == 1
    assert str(load(folder, in_clear_text(text)).state.redis) == "redis://redis.example.org:6379/0"
    with pytest.raises(ConfigurationError, match=CLEAR_TEXT):
        load(folder, in_clear_text(text).replace(f"\n{CLEAR_TEXT}\n", "\n"))


def test_the_manual_loads_with_redis_in_the_place_of_a_file(folder):
    state = load(folder, with_redis(manual(folder))).state
    assert state.shared
    assert str(state.redis) == "rediss://redis.example.org:6379/0"
    assert (state.redis.password is None, state.redis.ca_file is None) == (False, False)


def test_the_manual_loads_as_shipped(folder):
    load(folder, manual(folder))


def test_the_manual_loads_with_every_setting_switched_on(folder):
    load(folder, switched_on(manual(folder)))


def test_the_manuals_commented_settings_are_the_defaults(folder):
    shipped, full = manual(folder), switched_on(manual(folder))
    assert full.count("\n#") < shipped.count("\n#")
    as_shipped, as_full = load(folder, shipped), load(folder, full)
    assert as_shipped.extauth == as_full.extauth
    examples = {"hosts": (), "connections": None, "peer_connections": None}
    assert as_shipped.http == dataclasses.replace(as_full.http, **examples)
    examples = {"connections": None, "peer_connections": None}
    assert as_shipped.web == dataclasses.replace(as_full.web, **examples)
    assert as_shipped.clients["prosody"].deadline == as_full.clients["prosody"].deadline
    assert as_shipped.log == as_full.log
    assert as_shipped.deadline == as_full.deadline
    assert as_shipped.state == as_full.state


def test_the_defaults_that_the_manual_tells_of_directories_are_the_defaults(folder):
    full = switched_on(manual(folder))
    corp, *others = full.partition("\n[checkers.direct]")
    without = re.sub(
        r"(?m)^(preset|starttls|insecure_clear_text|jid_attribute|aliases|group_membership|group_depth"
        r"|timeout|second_server_after_bind|exists_cache|bind_connections|search_connections"
        r"|most_waiting) ?=.*", "", corp,
    )  # fmt: skip
    assert corp.count("=") - without.count("=") == 13
    without += "".join(others)
    assert load(folder, without).checkers["corp"].settings == (
        load(folder, full).checkers["corp"].settings
    )


def test_the_defaults_that_the_manual_tells_of_issuers_and_clients_are_the_defaults(folder):
    full, sites, of_sites = switched_on(manual(folder)).partition("\n[checkers.corp]")
    told = (
        r'(?m)^(kind = "jwt"|audience = "|subject = "sub"|typ|max_lifetime|leeway|jwks_(re|st)'
        r"|single_use|revocable|max_uses|rate).*"
    )
    assert len(re.findall(told, full)) == 13
    rest = sites + of_sites
    shipped, without = load(folder, full + rest), load(folder, re.sub(told, "", full) + rest)
    assert without.issuers == shipped.issuers
    assert without.clients["website"].grant == shipped.clients["website"].grant


def test_the_defaults_that_the_manual_tells_of_sites_are_the_defaults(folder):
    full, sites, of_sites = switched_on(manual(folder)).partition("\n[sites.www]")
    told = (
        r"(?m)^(ignore_case|same_users|token_ttl|rate|user = |timeout|cache|header = |secret_header"
        r"|max_lifetime|leeway).*"
    )
    assert len(re.findall(told, of_sites)) == 12
    as_told = load(folder, full + sites + of_sites)
    without = load(folder, full + sites + re.sub(told, "", of_sites))
    assert without.sites.keys() == {"www", "intranet", "forum"}
    for name, site in without.sites.items():
        assert repr(site) == repr(as_told.sites[name])
    alone = full + sites + of_sites.partition("\n[sites.intranet]")[0]
    told_of, example = 'default: "{user}".\n', 'jid = "www-{user}"\n'
    assert alone.count(told_of + example) == 1  # users of the three would else be the same
    by_default = load(folder, alone.replace(told_of + example, told_of))
    assert by_default.sites["www"].jid == ("", "")


def test_the_manuals_sites_are_a_mistake_where_they_could_name_one_user(folder):
    text = switched_on(manual(folder)).replace('jid = "www-{user}"', 'jid = "{user}"')
    with pytest.raises(ConfigurationError) as raised:
        load(folder, text)
    assert [line.partition(" may")[0] for line in raised.value.mistakes] == [
        "sites.intranet.jid: users of sites.www",
        "sites.forum.jid: users of sites.www",
    ]


def test_the_manual_names_every_setting(folder):
    """Whatever a module asks for is in the manual, and the other way round (unknown keys fail)."""
    asked: set[str] = set()

    class Recording(config.Table):
        def _read(self, setting, *rest):
            asked.add(setting)
            return super()._read(setting, *rest)

        def table(self, setting):
            read = super().table(setting)
            read.__class__ = Recording
            return read

    text = manual(folder)
    data = tomllib.loads(switched_on(text))
    redis, clear, bosh, site = (
        tomllib.loads(how(text))
        for how in (with_redis, in_clear_text, with_bosh_in_clear_text, with_a_site_in_clear_text)
    )
    for one in (data, redis, clear, bosh, site):
        config._read(Recording(one, "", config.Mistakes(), folder))

    def keys(table):
        for key, value in table.items():
            yield key
            if isinstance(value, dict):
                yield from keys(value)

    sentences = {"state_insecure_clear_text", "bosh_insecure_clear_text", "insecure_clear_text"}
    sentences |= {"insecure_plain_passwords"}
    assert sentences <= asked
    named = set(redis["authbridge"]) | set(clear["authbridge"]) | sentences
    assert asked <= set(keys(data)) | named | {"path"}
