"""What [checkers.NAME] says of a directory's servers."""

from __future__ import annotations

import pytest

from authbridge.ldap.discovery import Service
from authbridge.ldap.presets import PRESETS
from tests.ldap.tables import OURS, SECRET, SERVICE, read


def test_a_server_is_enough(folder):
    settings, mistakes = read(folder)
    assert mistakes == []
    assert [str(server) for server in settings.servers] == ["ldaps://ldap.example.org:636"]
    assert (settings.encrypted, settings.ca_file, settings.bind_dn) == (True, None, None)
    assert (settings.timeout, settings.most_waiting) == (4, 20_000)
    assert (settings.bind_connections, settings.search_connections) == (16, 2)


def test_everything_may_be_given(folder):
    settings, mistakes = read(
        folder, servers=["ldap://a", "ldap://b:1389"], starttls=True, ca_file="ca.pem",
        bind_dn=SERVICE, bind_password_file="password", timeout="2s", bind_connections=3,
        search_connections=4, most_waiting=5,
    )  # fmt: skip
    assert mistakes == []
    assert [str(server) for server in settings.servers] == ["ldap://a:389", "ldap://b:1389"]
    assert settings.ca_file == folder / "ca.pem"
    assert settings.bind_password_file == folder / "password"
    assert (settings.timeout, settings.most_waiting) == (2, 5)
    assert (settings.bind_connections, settings.search_connections) == (3, 4)
    assert SECRET.decode() not in repr(settings)


@pytest.mark.parametrize(
    "given",
    [
        {"servers": ["ldap://a"]},
        {"servers": ["ldap://a", "ldaps://b"]},
        {"servers": ["ldaps://a"], "starttls": False},
        {"servers": ["ldaps://a"], "starttls": True},
        {"insecure_clear_text": False},
    ],
)
def test_whatever_is_not_called_insecure_is_encrypted(folder, given):
    settings, mistakes = read(folder, **given)
    assert mistakes == []
    assert settings.encrypted


@pytest.mark.parametrize("given", [{}, {"starttls": False}])
def test_a_clear_link_is_had_by_asking_for_it_by_name(folder, given):
    settings, mistakes = read(folder, servers=["ldap://a"], insecure_clear_text=True, **given)
    assert mistakes == []
    assert not settings.encrypted


CLEAR = {"insecure_clear_text": True}


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"servers": None}, "servers: is missing"),
        ({"servers": []}, "servers: names none"),
        ({"servers": "ldaps://a"}, "servers: should be a list"),
        ({"servers": ["http://a"]}, 'servers: "http://a" should begin with ldaps://'),
        ({"servers": ["ldap://a:0"]}, 'servers: "ldap://a:0" names no host'),
        ({"servers": ["ldap://a"], "starttls": False}, "starttls: without it, passwords would go"),
        (
            {"servers": ["ldaps://b", "ldap://a"], "starttls": False},
            "to ldap://a:389 unencrypted; insecure_clear_text = true is how",
        ),
        ({"starttls": "yes"}, "starttls: should be true or false"),
        ({**CLEAR}, "insecure_clear_text: is for ldap:// servers; these are all ldaps://"),
        (
            {**CLEAR, "servers": ["ldap://a", "ldaps://b"]},
            "insecure_clear_text: is for all servers, and some are ldaps://",
        ),
        (
            {**CLEAR, "servers": ["ldap://a"], "starttls": True},
            "insecure_clear_text: contradicts starttls = true",
        ),
        (
            {**CLEAR, "servers": ["ldap://a"], "ca_file": "ca.pem"},
            "ca_file: verifies nothing beside insecure_clear_text",
        ),
        ({"insecure_clear_text": 1}, "insecure_clear_text: should be true or false"),
        ({"ca_file": "nowhere.pem"}, "/nowhere.pem: No such file"),
        ({"ca_file": "none.pem"}, "/none.pem is no file of certificates in PEM"),
        pytest.param({"ca_file": 1}, "ca_file: should be a string"),
        ({"bind_dn": SERVICE}, "bind_password_file: is missing"),
        ({"bind_dn": SERVICE, "bind_password_file": 1}, "bind_password_file: should be a string"),
        ({"bind_dn": SERVICE, "bind_password_file": "no"}, "bind_password_file: "),
        (
            {"bind_dn": "service", "bind_password_file": "password"},
            'bind_dn: "service": this is no distinguished name',
        ),
        ({"bind_dn": "", "bind_password_file": "password"}, "bind_dn: should be a string"),
        ({"bind_password_file": "password"}, "bind_password_file: is the password of bind_dn"),
        ({"timeout": "0s"}, "timeout: should be"),
        ({"timeout": "26s"}, "timeout: should be between 0.1 and 25"),
        ({"bind_connections": 0}, "bind_connections: should be a whole number between 1 and 1000"),
        ({"bind_connections": 1.5}, "bind_connections: should be a whole number"),
        ({"search_connections": 101}, "search_connections: should be a whole number between 1"),
        ({"most_waiting": True}, "most_waiting: should be a whole number"),
        ({"server": ["ldap://a"]}, 'server: there is no such setting; did you mean "servers"?'),
    ],
)
def test_a_mistake_is_one_line_with_its_key(folder, given, mistake):
    (line,) = read(folder, **given)[1]
    assert line.startswith("checkers.corp.")
    assert mistake in line


def test_a_file_of_authorities_is_not_taken_for_its_first_line(folder):
    (folder / "ca.pem").write_bytes(OURS.pem + OURS.pem.replace(OURS.pem[60:90], b"A" * 30))
    (line,) = read(folder, ca_file="ca.pem")[1]
    assert "is no file of certificates" in line


def test_a_password_that_others_may_read_is_refused(folder):
    (folder / "password").chmod(0o644)
    (line,) = read(folder, bind_dn=SERVICE, bind_password_file="password")[1]
    assert "is open to others" in line
    assert SECRET.decode() not in line


# --- servers that DNS knows -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("srv:example.org", Service("_ldap._tcp.example.org", "example.org", False)),
        (
            "srv:_ldaps._tcp.Example.ORG",
            Service("_ldaps._tcp.example.org", "example.org", True),
        ),
    ],
)
def test_servers_may_be_found_by_a_service(folder, text, service):
    settings, mistakes = read(folder, servers=text)
    assert mistakes == []
    assert settings.service == service
    assert settings.servers == ()
    assert settings.encrypted


def test_servers_that_are_named_are_not_looked_up(folder):
    settings, _ = read(folder)
    assert settings.service is None
    assert not settings.second_server_after_bind


def test_a_bind_may_be_sent_to_a_second_server_where_that_is_said(folder):
    settings, mistakes = read(folder, second_server_after_bind=True)
    assert mistakes == []
    assert settings.second_server_after_bind


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"servers": "srv:"}, 'servers: "srv:" names no domain'),
        ({"servers": "srv:_x._tcp.example.org"}, "names no domain"),
        ({"servers": "srv:192.0.2.1"}, "names no domain"),
        ({"servers": ["srv:example.org"]}, 'servers: "srv:example.org" should begin with'),
        ({"servers": "srv:a.example", "starttls": False}, "passwords would go to srv:_ldap._tcp.a"),
        (
            {"servers": "srv:_ldaps._tcp.a.example", **CLEAR},
            "insecure_clear_text: is for ldap:// servers; these are all ldaps://",
        ),
        (
            {"servers": "srv:a.example", **CLEAR},
            "insecure_clear_text: with srv: nothing but DNS would vouch for the servers",
        ),
        ({"servers": "srv:org"}, 'servers: "srv:org" names no domain'),
        ({"servers": "srv:a.example:389"}, 'servers: "srv:a.example:389" names no domain'),
        ({"second_server_after_bind": "no"}, "second_server_after_bind: should be true or false"),
    ],
)
def test_a_mistake_about_several_servers_is_one_line_with_its_key(folder, given, mistake):
    (line,) = read(folder, **given)[1]
    assert line.startswith("checkers.corp.")
    assert mistake in line


# --- LLDAP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("servers", "plain"),
    [
        (["ldap://a"], "ldap://a:389"),
        (["ldaps://b", "ldap://a"], "ldap://a:389"),
        ("srv:a.example", "srv:_ldap._tcp.a.example"),
    ],
)
@pytest.mark.parametrize("given", [{}, {"starttls": True}])
def test_a_directory_without_starttls_is_not_asked_for_it(folder, servers, plain, given):
    (line,) = read(folder, preset="lldap", servers=servers, **given)[1]
    said = f"checkers.corp.servers: {plain} has no StartTLS; ldaps:// is what it has"
    assert line == said


@pytest.mark.parametrize("given", [{"servers": ["ldaps://a"]}, {"servers": ["ldap://a"], **CLEAR}])
def test_a_directory_without_starttls_is_had_with_ldaps_or_in_clear(folder, given):
    settings, mistakes = read(folder, preset="lldap", **given)
    assert mistakes == []
    assert settings.encrypted is not given.get("insecure_clear_text", False)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_settings_know_which_kind_of_directory_they_are_about(folder, preset):
    assert read(folder, preset=preset)[0].preset is PRESETS[preset]


# --- the names of Windows -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["svc@ad.example.org", "AD\\svc", SERVICE])
def test_with_active_directory_the_account_may_have_a_logon_name(folder, name):
    given = {"bind_dn": name, "bind_password_file": "password"}
    settings, mistakes = read(folder, preset="active-directory", **given)
    assert mistakes == []
    assert settings.bind_dn == name


@pytest.mark.parametrize("preset", ["openldap", "active-directory"])
def test_what_is_neither_a_name_nor_a_dn_is_a_mistake(folder, preset):
    (line,) = read(folder, preset=preset, bind_dn="svc", bind_password_file="password")[1]
    assert 'bind_dn: "svc": ' in line
    name = "svc@ad.example.org"
    found = read(folder, bind_dn=name, bind_password_file="password")[1]
    assert len(found) == 1


# --- writing --------------------------------------------------------------------------------------


def test_nothing_is_written_unless_that_is_said_and_there_is_somebody_who_may(folder):
    account = {"bind_dn": SERVICE, "bind_password_file": "password"}
    settings, mistakes = read(folder, **account)
    assert (settings.writes, mistakes) == (False, [])
    settings, mistakes = read(folder, writes=True, **account)
    assert (settings.writes, mistakes) == (True, [])
    (line,) = read(folder, writes=True)[1]
    assert line == "checkers.corp.writes: needs bind_dn, who does the writing"
