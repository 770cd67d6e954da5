"""What servers really sent is read as ldap3 reads it; what nobody may send is refused."""

from __future__ import annotations

import random
import sys
import tracemalloc
from itertools import groupby, pairwise

import pytest

from authbridge import model
from authbridge.ldap import codec, ppolicy, verdicts
from authbridge.ldap.ber import Malformed
from authbridge.ldap.codec import Inbox
from authbridge.ldap.faults import Fault
from authbridge.ldap.ppolicy import Error, Policy
from authbridge.ldap.presets import PRESETS
from authbridge.model import Reason, rejected
from tests.ldap import oracle, ours
from tests.ldap.ours import read, single

RECORDED = oracle.vectors("recorded")
HANDMADE = oracle.vectors("handmade")

# A rename, compare and an intermediate response: we never ask for one.
NEVER_ASKED = (0x6D, 0x6F, 0x79)


def operation(octets: bytes) -> int:
    (message,) = oracle.elements(octets)
    return message.children[1].tag


def for_us(line) -> bool:
    """slapd answers a bind under the id 0 with a success of the id 0: no answer to anything."""
    return operation(line["octets"]) not in NEVER_ASKED and line["case"] != "broken: id 0"


ANSWERS = [line for line in RECORDED if for_us(line)]
OTHERS = [line for line in RECORDED if not for_us(line)]
# An extended response that refers to another server is a KeyError to ldap3.
FOR_LDAP3 = [line for line in ANSWERS if line["case"] != "consumer replica: passmod"]
WELL_FORMED = [line for line in HANDMADE if isinstance(line["expect"], dict)]
MALFORMED = [line for line in HANDMADE if line["expect"] == "malformed"]
NOT_WHOLE = [line for line in HANDMADE if line["expect"] == "incomplete"]


def named(lines):
    return [pytest.param(line, id=line["case"]) for line in lines]


# --- real ones ------------------------------------------------------------------------------------


def test_there_are_enough_of_them():
    assert len({line["hex"] for line in ANSWERS}) >= 400
    logins = {oracle.BIND, oracle.ENTRY, oracle.DONE, oracle.REFERENCE, oracle.EXTENDED}
    for server, expected in {
        "slapd": {*logins, oracle.MODIFY, oracle.ADD, oracle.DELETE},
        "Samba": {*logins, oracle.DELETE},
        "389": {oracle.BIND, oracle.DONE, oracle.EXTENDED, oracle.MODIFY, oracle.ADD},
    }.items():
        kinds = {operation(line["octets"]) for line in ANSWERS if line["server"].startswith(server)}
        assert kinds == expected
    codes = {
        oracle.message(line["octets"])[2][0]
        for line in ANSWERS
        if operation(line["octets"]) not in (oracle.ENTRY, oracle.REFERENCE)
    }
    assert codes >= {0, 1, 2, 4, 7, 8, 10, 11, 12, 13, 14, 19, 32, 33, 34, 49, 50, 52, 53}


def test_recorded_replies_are_read_as_ldap3_reads_them():
    assert len(FOR_LDAP3) == len(ANSWERS) - 1
    for line in FOR_LDAP3:
        expected = oracle.ldap3(line["octets"])
        assert read(line["octets"]) == ([expected], False), line["case"]


def test_recorded_replies_are_read_as_pyasn1_reads_them():
    for line in ANSWERS:
        assert read(line["octets"]) == ([oracle.message(line["octets"])], False), line["case"]


def test_what_answers_none_of_our_requests_is_refused():
    assert {operation(line["octets"]) for line in OTHERS} == {*NEVER_ASKED, oracle.BIND}
    for line in OTHERS:
        with pytest.raises(Malformed):
            read(line["octets"])


def test_octet_by_octet_they_are_the_same():
    for line in ANSWERS:
        assert read(*single(line["octets"])) == read(line["octets"]), line["case"]


@pytest.mark.parametrize("seed", range(5))
def test_however_they_are_cut_they_are_the_same(seed):
    dice = random.Random(seed)
    for _, lines in groupby(FOR_LDAP3, lambda line: line["server"]):
        replies = [line["octets"] for line in lines]
        dice.shuffle(replies)
        stream = b"".join(replies)
        expected = [oracle.ldap3(reply) for reply in replies]
        assert read(stream) == (expected, False)
        cuts = sorted(dice.randrange(len(stream)) for _ in range(dice.choice([1, 30, 1000])))
        pieces = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
        assert read(*pieces) == (expected, False)


def test_what_is_cut_off_is_no_reply():
    for line in ANSWERS:
        octets = line["octets"]
        expected, _ = read(octets)
        for cut in range(1, len(octets)):
            inbox = Inbox()
            assert inbox.feed(octets[:cut]) == []
            assert inbox.partial
            assert [ours.meaning(reply) for reply in inbox.feed(octets[cut:])] == expected
            assert not inbox.partial


def test_whole_ones_in_front_of_one_that_is_cut_off_are_delivered():
    first, second = ANSWERS[0]["octets"], ANSWERS[-1]["octets"]
    assert read(first + second[:-1]) == (read(first)[0], True)
    assert read(first + second[:-1], second[-1:] + first) == (
        read(first + second + first)[0],
        False,
    )


# --- made by hand ---------------------------------------------------------------------------------


@pytest.mark.parametrize("line", named(WELL_FORMED))
def test_what_is_well_formed_is_read(line):
    expect = line["expect"]

    def octets(key):
        return bytes.fromhex(expect[key])

    content = None
    if expect["operation"] == "entry":
        attributes = {
            name.encode(): [bytes.fromhex(value) for value in values]
            for name, values in expect["attributes"].items()
        }
        content = (octets("dn"), attributes)
    elif expect["operation"] != "reference":
        texts = octets("matched_dn"), octets("text")
        content = (expect["code"], *texts, expect["referral"], octets("name"))
    controls = {oid.encode(): bytes.fromhex(value) for oid, value in expect["controls"].items()}
    meaning = (expect["id"], oracle.TAGS[expect["operation"]], content, controls)
    assert read(line["octets"]) == ([meaning], False)
    assert read(*single(line["octets"])) == ([meaning], False)
    assert oracle.message(line["octets"]) == meaning


@pytest.mark.parametrize("line", named(MALFORMED))
def test_what_is_malformed_is_refused(line):
    with pytest.raises(Malformed) as refused:
        Inbox().feed(line["octets"])
    # The text is for a log: no octet of what was sent is in it, beyond tags and sizes.
    assert len(str(refused.value)) < 80
    with pytest.raises(Malformed):
        read(*single(line["octets"]))
    with pytest.raises(oracle.Refused):
        oracle.messages(line["octets"], codec.LARGEST_REPLY)


@pytest.mark.parametrize("line", named(NOT_WHOLE))
def test_what_is_not_whole_is_neither(line):
    assert read(line["octets"]) == ([], True)
    assert read(*single(line["octets"])) == ([], True)


@pytest.mark.parametrize("bad", [line["octets"] for line in MALFORMED[::8]])
def test_one_bad_reply_spoils_what_came_with_it(bad):
    good = ANSWERS[0]["octets"]
    with pytest.raises(Malformed):
        Inbox().feed(good + bad)
    inbox = Inbox()
    assert inbox.feed(good[:-1]) == []
    with pytest.raises(Malformed):
        inbox.feed(good[-1:] + good + bad)


# --- verdicts -------------------------------------------------------------------------------------


def answer(server: str, case: str) -> bytes:
    found = [
        line["octets"]
        for line in ANSWERS
        if line["server"].startswith(server) and line["case"] == case
    ]
    assert found, f"{server} was not recorded: {case}"
    return found[0]


def judged(preset: str, octets: bytes):
    """What a login comes to where this answers its bind: an outcome, or the reason of a fault."""
    (reply,) = Inbox().feed(octets)
    try:
        return verdicts.judge_bind(reply.content, ppolicy.read(reply.controls), PRESETS[preset])
    except Fault as fault:
        return fault.reason


@pytest.mark.parametrize(
    ("preset", "server", "case", "outcome"),
    [
        ("active-directory", "Samba", "bind alice, right", model.PASSWORD_MATCHES),
        ("active-directory", "Samba", "bind alice, wrong", model.PASSWORD_MISMATCH),
        ("active-directory", "Samba", "bind nobody, right", model.PASSWORD_MISMATCH),
        ("active-directory", "Samba", "bind disabled, right", rejected(Reason.ACCOUNT_DISABLED)),
        ("active-directory", "Samba", "bind expired, right", rejected(Reason.PASSWORD_EXPIRED)),
        ("active-directory", "Samba", "bind account expired, right",
         rejected(Reason.ACCOUNT_EXPIRED)),
        ("active-directory", "Samba", "bind must change, right",
         rejected(Reason.PASSWORD_MUST_CHANGE)),
        ("active-directory", "Samba", "bind locked, right", rejected(Reason.ACCOUNT_LOCKED)),
        ("active-directory", "Samba", "bind locked, wrong", rejected(Reason.ACCOUNT_LOCKED)),
        ("active-directory", "Samba", "bind, empty password", model.PASSWORD_MISMATCH),
        # With another preset the code alone is understood.
        ("openldap", "Samba", "bind disabled, right", model.PASSWORD_MISMATCH),
        ("openldap", "slapd", "bind alice, right", model.PASSWORD_MATCHES),
        ("openldap", "slapd", "bind alice, wrong", model.PASSWORD_MISMATCH),
        ("openldap", "slapd", "bind locked, right", rejected(Reason.ACCOUNT_LOCKED)),
        ("openldap", "slapd", "bind expired, right", rejected(Reason.PASSWORD_EXPIRED)),
        ("openldap", "slapd", "bind mustreset, right", rejected(Reason.PASSWORD_MUST_CHANGE)),
        ("openldap", "slapd", "bind grace, right", verdicts.GRACE),
        ("active-directory", "slapd", "bind locked, right", rejected(Reason.ACCOUNT_LOCKED)),
        ("389", "389", "bind right, without the control", model.PASSWORD_MATCHES),
        ("389", "389", "bind wrong password, without the control", model.PASSWORD_MISMATCH),
        ("389", "389", "bind disabled, right", rejected(Reason.ACCOUNT_DISABLED)),
        ("389", "389", "bind disabled, right, without the control",
         rejected(Reason.ACCOUNT_DISABLED)),
        ("389", "389", "bind locked, right", rejected(Reason.ACCOUNT_LOCKED)),
        ("389", "389", "bind locked, wrong password 4, without the control",
         rejected(Reason.ACCOUNT_LOCKED)),
        ("389", "389", "bind lockedforever, right, without the control",
         rejected(Reason.ACCOUNT_LOCKED)),
        ("389", "389", "bind expired, right", rejected(Reason.PASSWORD_EXPIRED)),
        ("389", "389", "bind must change, right", rejected(Reason.PASSWORD_MUST_CHANGE)),
        ("389", "389", "grace login 1", verdicts.GRACE),
        ("389", "389", "bind expiring soon, first warning", model.PASSWORD_MATCHES),
        ("freeipa", "389", "bind disabled, right", rejected(Reason.ACCOUNT_DISABLED)),
        # What these say is about us, not about the user.
        ("389", "389", "bind minssf 128, clear", Reason.DIRECTORY_REFUSED),
        ("389", "389", "bind referral state: bind", Reason.DIRECTORY_REFUSED),
        ("389", "389", "bind require-secure-binds, clear", Reason.DIRECTORY_REFUSED),
        ("389", "389", "bind dn-validate-strict, broken dn", Reason.DIRECTORY_REFUSED),
        ("389", "389", "bind empty password, without the control", Reason.DIRECTORY_REFUSED),
        # With another preset such a code is a fault, as it is for everybody else.
        ("openldap", "389", "bind disabled, right", Reason.DIRECTORY_REFUSED),
        ("openldap", "389", "bind locked, right", Reason.DIRECTORY_REFUSED),
    ],
)  # fmt: skip
def test_what_a_server_said_is_what_is_told(preset, server, case, outcome):
    assert judged(preset, answer(server, case)) == outcome


def test_sambas_refusal_without_tls_says_what_to_do():
    clear = [
        line["octets"] for line in ANSWERS if b"Transport encryption required" in line["octets"]
    ]
    assert len(clear) == 3
    for octets in clear:
        (reply,) = Inbox().feed(octets)
        with pytest.raises(Fault, match="it wants TLS: ldaps://") as raised:
            verdicts.judge_bind(reply.content, None, PRESETS["active-directory"])
        assert raised.value.reason is Reason.DIRECTORY_REFUSED


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("bind success", model.PASSWORD_MATCHES),
        ("bind, 525", model.USER_UNKNOWN),
        ("bind, 52e, text ends with a NUL", model.PASSWORD_MISMATCH),
        ("bind, 530", rejected(Reason.LOGON_HOURS)),
        ("bind, 531", rejected(Reason.LOGON_WORKSTATION)),
        ("bind, 532", rejected(Reason.PASSWORD_EXPIRED)),
        ("bind, 533", rejected(Reason.ACCOUNT_DISABLED)),
        ("bind, 701", rejected(Reason.ACCOUNT_EXPIRED)),
        ("bind, 773", rejected(Reason.PASSWORD_MUST_CHANGE)),
        ("bind, 775", rejected(Reason.ACCOUNT_LOCKED)),
        ("bind, 52f", rejected(Reason.LOGON_REFUSED)),
        ("bind, 569", rejected(Reason.LOGON_REFUSED)),
        ("bind, a channel binding is wanted", rejected(Reason.LOGON_REFUSED)),
        # No domain controller of the user's own domain: nothing is said of the password.
        ("bind, 51f", Reason.DIRECTORY_FAILED),
        ("bind without TLS", Reason.DIRECTORY_REFUSED),
    ],
)
def test_what_windows_says_is_what_is_told(case, outcome):
    (octets,) = [line["octets"] for line in HANDMADE if line["case"] == f"Windows AD: {case}"]
    assert octets[:2] == b"\x30\x84"
    assert judged("active-directory", octets) == outcome


# --- the control of the password policy -----------------------------------------------------------


def policy(octets: bytes):
    (reply,) = Inbox().feed(octets)
    return ppolicy.read(reply.controls)


@pytest.mark.parametrize(
    ("case", "code", "error", "grace"),
    [
        ("bind alice, right", 0, None, None),
        ("bind alice, wrong", 49, None, None),
        ("bind locked, right", 49, Error.ACCOUNT_LOCKED, None),
        ("bind locked, wrong", 49, Error.ACCOUNT_LOCKED, None),
        ("bind mustreset, right", 0, Error.CHANGE_AFTER_RESET, None),
        ("bind expired, right", 49, Error.PASSWORD_EXPIRED, None),
        ("bind grace, right", 0, None, 8),
        ("grace, login 1", 0, None, 2),
        ("grace, login 3", 0, None, 0),
        ("grace, login 4", 49, Error.PASSWORD_EXPIRED, None),
        ("locked by failures, wrong 5", 49, None, None),
        ("locked by failures, wrong 6", 49, Error.ACCOUNT_LOCKED, None),
        ("locked by failures, right", 49, Error.ACCOUNT_LOCKED, None),
        ("own password, short", 19, Error.PASSWORD_TOO_SHORT, None),
    ],
)
def test_what_slapd_says_of_a_password_is_read(case, code, error, grace):
    octets = answer("slapd", case)
    assert oracle.message(octets)[2][0] == code
    assert policy(octets) == Policy(error, None, grace)


@pytest.mark.parametrize(
    ("case", "code", "found"),
    [
        ("bind disabled, right", 53, Policy(Error.ACCOUNT_LOCKED, None, None)),
        ("bind locked, right", 19, Policy(Error.ACCOUNT_LOCKED, None, None)),
        ("bind expired, right", 49, Policy(Error.PASSWORD_EXPIRED, None, None)),
        ("bind must change, right", 0, Policy(Error.CHANGE_AFTER_RESET, None, None)),
        ("grace login 1", 0, Policy(None, None, 1)),
        ("bind expiring soon, first warning", 0, Policy(None, 86400, None)),
        ("password policy: too short", 19, Policy(Error.QUALITY_INSUFFICIENT, None, None)),
        ("password policy: history", 19, Policy(Error.PASSWORD_IN_HISTORY, None, None)),
        ("password min age, self", 19, Policy(Error.PASSWORD_TOO_YOUNG, None, None)),
        ("bind right, without the control", 0, None),
    ],
)
def test_what_389_says_of_a_password_is_read(case, code, found):
    """Its lengths are of four octets within the control, and short around it."""
    octets = answer("389", case)
    assert oracle.message(octets)[2][0] == code
    assert policy(octets) == found


def test_what_slapd_says_of_the_time_that_is_left_is_read():
    found = [line["octets"] for line in ANSWERS if line["case"] == "bind warned, right"]
    left = [policy(octets).seconds_left for octets in found]
    assert left == [999_993, 999_983]


@pytest.mark.parametrize("line", named(line for line in HANDMADE if "policy" in line))
def test_a_policy_is_read_or_refused(line):
    expect = line["policy"]
    if expect == "malformed":
        with pytest.raises(Malformed):
            policy(line["octets"])
    else:
        error = None if "error" not in expect else Error(expect["error"])
        wanted = Policy(error, expect.get("expires_in"), expect.get("grace"))
        assert policy(line["octets"]) == wanted


def test_no_policy_is_none():
    for line in HANDMADE:
        if isinstance(line["expect"], dict) and "policy" not in line:
            assert policy(line["octets"]) is None


# --- sizes ----------------------------------------------------------------------------------------


def entry(size: int) -> bytes:
    """A search result of exactly so many octets."""
    value = b"x" * size
    while True:
        values = oracle.Element(0x31, [oracle.Element(4, None, value)])
        attribute = oracle.Element(0x30, [oracle.Element(4, None, b"photo"), values])
        found = oracle.Element(
            0x64, [oracle.Element(4, None, b"cn=x"), oracle.Element(0x30, [attribute])]
        )
        octets = oracle.Element(0x30, [oracle.Element(2, None, b"\1"), found]).encode()
        if len(octets) <= size:
            return octets
        value = value[: size - len(octets)]


@pytest.mark.parametrize("size", [100, 1000, 70_000, codec.LARGEST_REPLY])
def test_the_largest_message_is_taken_and_a_larger_one_is_refused_at_its_header(size):
    largest = entry(size)
    assert len(largest) == size
    assert read(largest, largest=size) == read(largest)
    with pytest.raises(Malformed):
        read(largest, largest=size - 1)
    header, _ = oracle.header(largest)
    with pytest.raises(Malformed):
        read(largest[:header], largest=size - 1)
    assert read(largest[: header - 1], largest=size - 1) == ([], True)


@pytest.mark.parametrize(
    "size", ["83ffffff", "847fffffff", "8480000000", "84ffffffff", "8400040001"]
)
def test_a_header_of_gigabytes_is_refused_with_its_last_octet(size):
    octets = bytes.fromhex("30" + size)
    assert read(octets[:-1]) == ([], True)
    assert read(*single(octets[:-1])) == ([], True)
    with pytest.raises(Malformed):
        read(*single(octets))


def test_octets_that_trickle_in_cost_what_they_weigh():
    """Headers are looked at again for each octet of theirs, never for one of the content; and what
    is held is held once."""
    octets = entry(200_000)
    begun = octets[:-1]
    inbox = Inbox()
    calls = 0

    def count(frame, event, _):
        nonlocal calls
        calls += event == "call" and frame.f_globals["__name__"].startswith("authbridge.ldap")

    tracemalloc.start()
    sys.setprofile(count)
    try:
        for octet in single(begun):
            assert inbox.feed(octet) == []
        most = tracemalloc.get_traced_memory()[1]
    finally:
        sys.setprofile(None)
        tracemalloc.stop()
    assert len(begun) <= calls <= len(begun) + 12
    assert most < 2 * len(octets)
    assert [ours.meaning(reply) for reply in inbox.feed(octets[-1:])] == [oracle.message(octets)]


def test_a_torrent_of_small_replies_is_read_in_one_go():
    small = bytes.fromhex("300c02010161070a010004000400")
    assert read(small * 20_000) == ([oracle.message(small)] * 20_000, False)
