"""What is a token by its looks, and what is a password."""

from __future__ import annotations

import base64
import string
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authbridge.tokens import forms, xcauth
from authbridge.tokens.forms import Form
from tests.tokens import mint
from tests.tokens.speed import times_as_long

NOBODY: frozenset[bytes] = frozenset()
CLAIMS = {"iss": "https://www.example.org", "sub": "alice", "exp": 1_800_000_060}
SECRET = b"0123456789abcdef0123456789abcdef"
COMPACT = mint.compact(SECRET, "alice@example.org", 1_800_000_000).encode()
TEMPORARY = b"abtt1_" + mint.b64(bytes(range(32))).encode()
XCAUTH = mint.xcauth(SECRET, "alice@example.org", 1_800_000_000).encode()
KEY_IDS = frozenset({mint.xcauth_key_id(SECRET)})
AROUND = [
    "Bearer {}", "bearer  {}", "Authorization: Bearer {}", '"{}"', "'{}'", "<{}>", "`{}`",
    "\ufeff{}", "\u00a0{}", "\u200b{}", "token={}", "?token={}&x=1", "alice:{}", "JWT {}", "({})",
    "\u201e{}\u201c", "{},{}", "{} {}", '{"token":"{}"}',
]  # fmt: skip
"""What comes with a token that is copied."""
BLANKS = st.sampled_from([b"", b" ", b"\n", b"\t", b"\r\n", b"\x0b", b"\x0c", b" \n "])


def jwt(algorithm="ES256", header=None):
    return mint.jwt(CLAIMS, mint.key(algorithm), header=header, kid="www").encode()


def test_each_kind_is_recognised():
    assert forms.recognise(jwt(), NOBODY) is Form.JWT
    assert forms.recognise(COMPACT, NOBODY) is Form.COMPACT
    assert forms.recognise(TEMPORARY, NOBODY) is Form.TEMPORARY
    assert forms.recognise(XCAUTH, KEY_IDS) is Form.XCAUTH


def test_a_form_is_called_what_the_configuration_calls_it():
    assert [form.value for form in Form] == [
        "jwt", "compact", "xcauth", "temporary", "reserved",
    ]  # fmt: skip


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_tokens_of_every_algorithm_are_recognised(algorithm):
    assert forms.recognise(jwt(algorithm), NOBODY) is Form.JWT


# --- jwt ------------------------------------------------------------------------------------------


@given(st.data(), BLANKS, BLANKS)
def test_what_is_left_of_a_jwt_that_was_cut_is_recognised_from_its_dot_on(data, before, behind):
    token = jwt()
    cut = data.draw(st.integers(token.index(b".") + 1, len(token)))
    assert forms.recognise(before + token[:cut] + behind, NOBODY) is Form.JWT


def test_a_header_without_a_dot_is_not_yet_a_token():
    """It says nothing that a directory might learn, and could be anybody's password."""
    token = jwt()
    for cut in range(token.index(b".")):
        assert forms.recognise(token[: cut + 1], NOBODY) is None


@pytest.mark.parametrize(
    "header",
    [b'{"alg":"ES256"}', b'{ "alg":"ES256"}', b'{\t"alg":"ES256"}', b'{\n"alg":"ES256"}',
     b'{\r\n"alg":"ES256"}', b'{"typ":"JWT"}', b'{ "typ":"JWT"}', b'{\t"typ":"JWT"}',
     b'{\n"typ":"JWT"}', b'{\r\n"typ":"JWT"}', b'{"wonderland":1}', b'{"a" : NaN, 1, 2',
     b' {"alg":"ES256"}', b'\n{"alg":"none"}', b'\xef\xbb\xbf{"alg":"ES256"}', b'["alg":"ES256"]',
     '{"alg":"ES256"}'.encode("utf-16"), '{"alg":"ES256"}'.encode("utf-16-le"),
     '{"alg":"ES256"}'.encode("utf-32-be")],
)  # fmt: skip
@pytest.mark.parametrize("behind", [b".e30.AAAA", b".", b"..", b".!!!", b".e30.AAAA.BBBB.CCCC"])
def test_a_header_in_any_dress_is_recognised(header, behind):
    for encode in (base64.urlsafe_b64encode, base64.standard_b64encode):
        padded = encode(header)
        for first in (padded, padded.rstrip(b"=")):
            assert forms.recognise(first + behind, NOBODY) is Form.JWT


@given(st.integers(0, 5000))
def test_a_jwt_of_any_length_is_recognised(length):
    """Also one that is far longer than any that is accepted."""
    header = b'{"x":"' + b"a" * length + b'","alg":"ES256"}'
    assert forms.recognise(base64.urlsafe_b64encode(header) + b".e30.", NOBODY) is Form.JWT


@pytest.mark.parametrize("around", AROUND)
def test_a_jwt_within_other_text_is_no_password(around):
    """It was copied with what stands beside it: without that it is good."""
    for algorithm in ("ES256", "HS256"):
        secret = around.encode().replace(b"{}", jwt(algorithm))
        assert forms.recognise(secret, NOBODY) is Form.JWT


@pytest.mark.parametrize("before", ["Bearer ", "JWT ", "token=", "x", "xy", "xyz", '{"token":"'])
def test_a_jwt_with_blanks_in_its_json_is_recognised_within_other_text(before):
    """Not all begin with '{"'."""
    key = mint.key("ES256")
    for claims in (b'{ "exp": 1 }', b'{\n  "exp": 1\n}'):
        token = mint.jwt(claims, key, kid="www")
        assert forms.recognise(before.encode() + token.encode(), NOBODY) is Form.JWT


@pytest.mark.parametrize("around", [".{}", "..{}", "a.{}", "my .eyJ {}"])
def test_a_dot_before_a_jwt_makes_it_no_password(around):
    assert forms.recognise(around.encode().replace(b"{}", jwt()), NOBODY) is Form.JWT


@pytest.mark.parametrize(
    "between",
    [b" ", b"\n", b"\r\n", b"\r\n ", b"\t", b"=\n", b"\xc2\xad", b"\xe2\x80\x8b", b"\xef\xbb\xbf",
     b"\xff", b"=", b"!", b"\0"],
)  # fmt: skip
@given(st.data())
def test_a_header_that_is_broken_somewhere_is_recognised(between, data):
    """As by a mail that breaks lines. Without the break it may be good."""
    token = mint.jwt(b'{"exp":1}', mint.key("ES256"), kid="www").encode()
    first, rest = token.split(b".", 1)
    at = data.draw(st.integers(0, len(first)))
    broken = first[:at] + between + first[at:]
    assert forms.recognise(broken + b"." + rest, NOBODY) is Form.JWT
    lines = between.join(first[start : start + 20] for start in range(0, len(first), 20))
    assert forms.recognise(lines + b"." + rest, NOBODY) is Form.JWT


@pytest.mark.parametrize("header", [b'{"a":1}', b'{"typ":1}', b"{}"])
def test_a_header_without_an_algorithm_is_recognised_by_its_payload(header):
    """Nobody takes it; it is no more a password for that."""
    token = f"{mint.b64(header)}.{mint.b64(mint.text(CLAIMS))}.".encode()
    recognised = Form.JWT if header != b"{}" else None  # e30 begins nothing else but names
    assert forms.recognise(token, NOBODY) is recognised


LONG = {
    "beginnings": b"eyJ", "dots": b".", "our mark": b"abtc1_", "our mark and a blank": b" abtc1_",
    "another mark": b"xabtd1_.", "payloads": b".eyJ", "tokens": b"eyJ.eyJ", "blanks": b" ",
    "equals signs": b"=", "names": b"abt", "quotes": b'"', "octets": b"\xff",
    "our mark, nearly": b"abtc1_" + b"a" * 39, "algorithms": b"ImFsZyI.",
}  # fmt: skip


def recognised(secret):
    for _ in range(5):
        forms.recognise(secret, KEY_IDS)


@pytest.mark.parametrize("what", LONG)
@pytest.mark.parametrize("around", ["x{}.", "{}", "eyJ{}.eyJ"])
def test_what_is_eight_times_as_long_does_not_take_much_more_than_eight_times(what, around):
    """All of authbridge waits while it is looked at; were it squared, it would be 64 times."""
    short, long = (
        around.encode().replace(b"{}", LONG[what] * (size // len(LONG[what])))
        for size in (8192, 65_536)
    )
    forms.recognise(long, KEY_IDS)
    assert times_as_long(partial(recognised, long), partial(recognised, short), 24) < 24


# --- compact --------------------------------------------------------------------------------------


@given(st.data(), BLANKS, BLANKS)
def test_what_is_left_of_a_compact_token_that_was_cut_is_recognised(data, before, behind):
    cut = data.draw(st.integers(len("abtc1_"), len(COMPACT)))
    assert forms.recognise(before + COMPACT[:cut] + behind, NOBODY) is Form.COMPACT


@given(st.binary(max_size=80))
def test_whatever_follows_our_mark_is_no_password(behind):
    assert forms.recognise(b"abtc1_" + behind, NOBODY) is Form.COMPACT


@given(st.sampled_from(string.ascii_lowercase), st.sampled_from(string.digits), st.binary())
def test_marks_of_kinds_and_versions_to_come_are_reserved(letter, version, behind):
    """abtc2_ as well: a later version's token must not be said to be out of form."""
    if letter + version not in ("c1", "t1"):
        assert forms.recognise(f"abt{letter}{version}_".encode() + behind, NOBODY) is Form.RESERVED


@pytest.mark.parametrize(
    "password",
    [b"abt", b"abtc", b"abtc1", b"abtc1-aaaa", b"abtC1_aaaa", b"ABTC1_aaaa", b"abtc_1aaa",
     b"abt11_aaa", b"abtc11_aa", b"xabtc1_aaa", b"abtcc_aaa", "abté1_aa".encode(), b"abtc1 _a"],
)  # fmt: skip
def test_what_begins_nearly_like_ours_is_a_password(password):
    assert forms.recognise(password, NOBODY) is None


@pytest.mark.parametrize("around", AROUND)
def test_a_token_of_ours_within_other_text_is_no_password(around):
    """It was copied with what stands beside it: without that it is good."""
    for token, form in (
        (COMPACT, Form.COMPACT),
        (TEMPORARY, Form.TEMPORARY),
        (b"abtd1_" + COMPACT[6:], Form.RESERVED),
    ):
        secret = around.encode().replace(b"{}", token)
        assert forms.recognise(secret, NOBODY) is form
        assert forms.recognise(secret[: secret.index(b"abt") + 46], NOBODY) is form


@pytest.mark.parametrize(
    "password",
    ["my abtc1_ password", "xabtc1_" + "a" * 39, '"abtz9_short"', "abt abtc1_abc.def-abtc1_ghi"],
)
def test_our_mark_within_a_password_is_not_enough(password):
    assert forms.recognise(password.encode(), NOBODY) is None


# --- xcauth ---------------------------------------------------------------------------------------


def test_without_its_key_an_xcauth_token_is_31_characters_like_others():
    assert forms.recognise(XCAUTH, NOBODY) is None
    assert forms.recognise(XCAUTH, {b"\0\0"}) is None


@pytest.mark.parametrize(
    "changed",
    [XCAUTH[:-1], XCAUTH + b"A", XCAUTH[:-1] + b"\n", b"=" + XCAUTH, b"=" + XCAUTH[1:],
     XCAUTH[:-1] + b"=", XCAUTH[:-1] + b"_", b"B" + XCAUTH[1:], XCAUTH[:-2] + "é".encode(),
     XCAUTH + b"==", XCAUTH[:15] + b" " + XCAUTH[15:], XCAUTH[:15] + b"\n" + XCAUTH[16:]],
)  # fmt: skip
def test_what_is_not_31_characters_of_its_alphabet_with_version_0_is_a_password(changed):
    assert forms.recognise(changed, KEY_IDS) is None


@given(BLANKS, BLANKS, st.sampled_from([b"", b"="]))
def test_blanks_and_padding_make_an_xcauth_token_no_password(before, behind, padding):
    """As when it was copied, or made by another library: it is a bad token."""
    changed = before + XCAUTH + padding + behind
    assert forms.recognise(changed, KEY_IDS) is Form.XCAUTH
    assert forms.recognise(changed, NOBODY) is None


def test_an_xcauth_token_is_recognised_in_every_spelling_that_others_take():
    """O, I and l for -, $ and %; and the two last bits, that carry nothing."""
    other = XCAUTH.translate(bytes.maketrans(b"-$%", b"OIl"))
    assert forms.recognise(other, KEY_IDS) is Form.XCAUTH
    assert other == XCAUTH or xcauth.looks_like_one(other, KEY_IDS)
    loose = mint.xcauth(SECRET, "alice@example.org", 1_800_000_000)
    for last in string.ascii_letters + string.digits + "+/":
        assert forms.recognise(loose[:-1].encode() + last.encode(), KEY_IDS) is Form.XCAUTH


@given(st.integers(0, (1 << 32) - 1), st.binary(min_size=16, max_size=16))
def test_every_token_of_a_key_is_recognised_signed_or_not(expiry, mac):
    raw = b"\0" + mac + mint.xcauth_key_id(SECRET) + expiry.to_bytes(4, "big")
    assert forms.recognise(mint.xcauth_text(raw).encode(), KEY_IDS) is Form.XCAUTH
    another = b"\1" + raw[1:]
    assert forms.recognise(mint.xcauth_text(another).encode(), KEY_IDS) is None


# --- passwords ------------------------------------------------------------------------------------

WORDS = st.lists(
    st.sampled_from(
        ["correct", "horse", "battery", "staple", "Tr0ub4dor&3", "hunter2", "eye", "EYJ", "ewer",
         "abt", "abbot", "alg", "JWT", "token", "https", "www.example.org", "alice@example.org",
         "2026", "p4$$w0rd", "ünïcödé", "密码", "a", "b", "c", "!", "?", "#", "%20"]
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


@given(WORDS, st.sampled_from(["", " ", ".", "-", "_", ". ", "...", "=", "/"]), BLANKS)
def test_words_are_a_password(words, between, blank):
    secret = between.join(words).encode() + blank
    assert forms.recognise(secret, KEY_IDS) is None


@given(st.text(alphabet=string.digits + string.ascii_lowercase + " .,-_!?", max_size=40))
def test_nothing_in_small_letters_is_taken_for_a_jwt(text):
    if not text.strip().startswith(("abt", "ew")):
        assert forms.recognise(text.encode(), NOBODY) is None


@pytest.mark.parametrize(
    "password",
    [b"eyJ", b"eyJ.eyK", b".eyJhbGciOiJub25lIn0.", b"x.eyJhbGciOiJub25lIn0.",
     b"eyJhbGciOiJFUzI1NiJ9", b"EYJHBGCIOIJFUZI1NIJ9.e30", b"ewok-village-2.0!",
     b"ewoksarecute.1", b"eyJohnSmith123.", b"eyAlejandra99.x", b"eyebrows.up",
     b"eyJust a sentence. And another", b"1plus1is=2really.", b"eyJohn.eyelash",
     b"my.eyJes are blue", b"e30.e30.", b"eyJ9.",
     b"192.0.2.1", b"www.example.org", b"...", b".", b"", b"a.b.c", b"My.Dog.Has.Fleas.2026",
     b"YWxnYWxnYWxnYWxnYWxn.b.c"],
)  # fmt: skip
def test_what_has_dots_and_no_header_is_a_password(password):
    assert forms.recognise(password, NOBODY) is None


@given(st.binary(max_size=60))
@example(b"aaaaaaaaaaaaa=aa.b")
@example(b"=" * 20 + b".")
@example(b"aaaaa.")
def test_any_octets_are_judged_without_a_fault(octets):
    assert forms.recognise(octets, KEY_IDS) in (None, *Form)
