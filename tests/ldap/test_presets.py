"""What is usual with each kind of directory."""

from __future__ import annotations

import pytest

from authbridge.ldap import names
from authbridge.ldap.codec import Entry, Result, Scope
from authbridge.ldap.filters import Template
from authbridge.ldap.presets import EVERYBODY, MEMBERSHIPS, PRESETS, nothing_more
from authbridge.model import Reason, rejected

EVERY = pytest.mark.parametrize("name", PRESETS)

WINDOWS_DISABLED = (
    b"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533"
)
NETSCAPE_DISABLED = b"Account inactivated. Contact system administrator."


def test_these_are_the_kinds_and_no_other():
    assert list(PRESETS) == ["openldap", "active-directory", "389", "freeipa", "lldap"]


@pytest.mark.parametrize(
    ("name", "jid_attribute", "text", "membership"),
    [
        ("openldap", "uid", EVERYBODY, "search"),
        (
            "active-directory",
            "sAMAccountName",
            "(&(objectCategory=person)(objectClass=user))",
            "nested-rule",
        ),
        ("389", "uid", EVERYBODY, "search"),
        ("freeipa", "uid", "(objectClass=posixAccount)", "memberof"),
        ("lldap", "uid", "(objectClass=person)", "memberof"),
    ],
)
def test_each_has_its_own_way_to_name_and_group_users(name, jid_attribute, text, membership):
    preset = PRESETS[name]
    assert (preset.jid_attribute, preset.filter) == (jid_attribute, text)
    assert preset.membership == membership


@EVERY
def test_what_is_usual_is_what_a_setting_may_be(name):
    preset = PRESETS[name]
    Template(preset.filter, "user")
    assert preset.membership in MEMBERSHIPS


@EVERY
def test_an_entry_that_says_nothing_may_be_used_but_where_it_has_to_say_so(name):
    entry = Entry(b"uid=alice", {})
    if name == "active-directory":
        with pytest.raises(ValueError, match="no userAccountControl that bind_dn may read"):
            PRESETS[name].account_state(entry, 0.0)
    else:
        assert PRESETS[name].account_state(entry, 0.0) is None


@pytest.mark.parametrize(
    ("name", "attribute", "value", "reason"),
    [
        ("openldap", "shadowExpire", b"1", Reason.ACCOUNT_EXPIRED),
        ("openldap", "pwdEndTime", b"20200101000000Z", Reason.ACCOUNT_EXPIRED),
        ("active-directory", "userAccountControl", b"514", Reason.ACCOUNT_DISABLED),
        ("389", "nsAccountLock", b"true", Reason.ACCOUNT_DISABLED),
        ("freeipa", "nsAccountLock", b"TRUE", Reason.ACCOUNT_DISABLED),
        ("freeipa", "krbPrincipalExpiration", b"20200101000000Z", Reason.ACCOUNT_EXPIRED),
    ],
)
def test_what_keeps_an_account_out_is_asked_for_and_read(name, attribute, value, reason):
    preset = PRESETS[name]
    assert attribute in preset.account_attributes
    entry = Entry(b"uid=alice", {attribute.lower().encode(): [value]})
    assert preset.account_state(entry, 1_800_000_000.0) is reason


def test_one_kind_does_not_read_what_is_anothers():
    attributes = {
        b"shadowexpire": [b"1"],
        b"nsaccountlock": [b"true"],
        b"useraccountcontrol": [b"514"],
    }
    entry = Entry(b"uid=alice", attributes)
    assert PRESETS["lldap"].account_state(entry, 1e10) is None
    assert PRESETS["openldap"].account_state(entry, 1e10) is Reason.ACCOUNT_EXPIRED
    assert PRESETS["389"].account_state(entry, 1e10) is Reason.ACCOUNT_DISABLED


def test_only_slapd_lets_in_by_a_bind_who_may_not_use_an_account():
    assert [name for name in PRESETS if not PRESETS[name].bind_judges] == ["openldap"]


@pytest.mark.parametrize(
    ("name", "windows", "netscape"),
    [
        ("openldap", None, None),
        ("active-directory", rejected(Reason.ACCOUNT_DISABLED), None),
        ("389", None, rejected(Reason.ACCOUNT_DISABLED)),
        ("freeipa", None, rejected(Reason.ACCOUNT_DISABLED)),
        ("lldap", None, None),
    ],
)
def test_each_understands_its_own_servers_words(name, windows, netscape):
    refusal = PRESETS[name].refusal
    assert refusal(Result(49, WINDOWS_DISABLED, b"", False, b"")) == windows
    assert refusal(Result(53, NETSCAPE_DISABLED, b"", False, b"")) == netscape


def test_a_code_alone_says_nothing_more():
    assert nothing_more(Result(53, NETSCAPE_DISABLED, b"", False, b"")) is None


def test_only_active_directory_has_windows_names():
    assert [name for name in PRESETS if PRESETS[name].windows] == ["active-directory"]


def test_only_lldap_is_asked_below_an_entry_for_that_entry():
    """It answers a base search that finds nothing with 32, as if the entry were not there."""
    assert {name: preset.scope for name, preset in PRESETS.items()} == {
        "openldap": Scope.BASE,
        "active-directory": Scope.BASE,
        "389": Scope.BASE,
        "freeipa": Scope.BASE,
        "lldap": Scope.SUBTREE,
    }


@EVERY
def test_users_are_made_over_ldap_where_that_is_all_it_takes(name):
    preset = PRESETS[name]
    if name in ("freeipa", "lldap"):
        assert preset.new_user is None
        return
    assert preset.new_user is not None
    attributes = dict(preset.new_user)
    assert len(attributes) == len(preset.new_user)
    assert "objectClass" in attributes
    assert attributes[preset.jid_attribute] == (names.HOLE,)
    assert "userPassword" not in attributes


def test_a_new_user_of_windows_is_an_ordinary_account_that_is_not_disabled():
    attributes = dict(PRESETS["active-directory"].new_user or ())
    assert attributes["userAccountControl"] == ("512",)
    assert attributes["userPrincipalName"] == ("{user}@{domain}",)
    assert PRESETS["active-directory"].rdn == "cn"
    assert PRESETS["openldap"].rdn == "uid"
