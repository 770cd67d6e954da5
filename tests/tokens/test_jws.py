"""JWS: read strictly, once; verified with the key that its issuer has, in that key's algorithm."""

from __future__ import annotations

import json

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.errors import JoseError

from authbridge.model import Reason, Trace
from authbridge.tokens import jws, keys
from authbridge.tokens.keys import KeySet
from authbridge.tokens.refusals import Malformed, Untrusted
from tests.tokens import mint
from tests.tokens.mint import b64

CLAIMS = {"sub": "alice"}


def key(algorithm, *owner, kid=None, private=False):
    """One of the mint's, as ours: its public half, or the secret."""
    members = mint.key(algorithm, *owner).jwk(private=private)
    found = keys.import_key(members, members["kty"])
    return keys.bind(found, [algorithm], kid, f"the key {kid}")


def signed(algorithm="ES256", *owner, **members):
    return mint.jwt(CLAIMS, mint.key(algorithm, *owner), **members)


def verify(token, *found, trace=None):
    return jws.verify(jws.read(token.encode()), KeySet(found), trace)


def refusal(token):
    with pytest.raises(Malformed) as raised:
        jws.read(token if isinstance(token, bytes) else token.encode())
    return raised.value.words


def untrusted(token, *found):
    with pytest.raises(Untrusted) as raised:
        verify(token, *found)
    return raised.value.reason, raised.value.words


# --- reading --------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jku", "x"]), st.text(max_size=5)),
    st.binary(max_size=60),
    st.binary(max_size=60),
)
def test_a_token_is_taken_apart(header, payload, signature):
    first = b64(json.dumps(header).encode())
    if not payload:
        refusal(f"{first}..{b64(signature)}")
        return
    read = jws.read(f"{first}.{b64(payload)}.{b64(signature)}".encode())
    assert read == (header, payload, f"{first}.{b64(payload)}".encode(), signature)


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a", "e30", "e30.e30", "e30.e30.e30.e30", ".e30.", "e30..", "..e30",
     "e30.e30.=", "e30=.e30.", "e30.\ne30.", "e3+.e30.",
     "e30.é30.", "e30.e30..", '{"alg":"none"}.e30.', "e30 .e30.", " e30.e30.e30.e30"],
)  # fmt: skip
def test_what_is_not_three_parts_of_base64url_is_refused(token):
    parts = len(token.split("."))
    assert refusal(token) == (
        f"not three parts of base64url, divided by dots; it has {parts} parts"
    )


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\n", "\t{}\r\n", "{}\x0b"])
def test_blanks_around_a_token_are_refused_and_said_to_be_there(around):
    assert refusal(around.format(signed())) == "there are blanks or line ends around it"


def test_a_part_that_has_another_spelling_is_refused_and_named():
    first, _, third = signed("EdDSA", x="x").split(".")
    for place, part in enumerate(("header", "payload", "signature")):
        parts = [first, b64(b'{"a":1}'), third]
        loose = parts[place]
        assert len(loose) % 4, "it has to have bits to spare"
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        parts[place] = loose[:-1] + alphabet[alphabet.index(loose[-1]) + 1]
        assert refusal(".".join(parts)).startswith(f"the {part} is not the one form")
        parts[place] = "A"
        assert refusal(".".join(parts)).startswith(f"the {part} is not the one form")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"[]", "the header is no JSON object"),
        (b"{", "the header is no JSON: "),
        (b'{"alg":"ES256","alg":"none"}', "the header is a member that is given twice"),
        (b'{"alg":NaN}', "the header is NaN or Infinity"),
        (b'\xef\xbb\xbf{"alg":"ES256"}', "the header is no JSON: "),
        ('{"alg":"ES256"}'.encode("utf-16"), "the header is not UTF-8"),
        (b"[" * 20, "the header is nested deeper"),
    ],
)
def test_a_header_that_is_read_in_two_ways_is_refused(header, said):
    assert refusal(f"{b64(header)}.e30.AAAA").startswith(said)


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "cty", "enc"])
@pytest.mark.parametrize("value", [[], ["exp"], True, False, None, "DEF", "JWT", {}])
def test_members_that_change_what_the_rest_means_are_refused(name, value):
    token = signed(**{name: value})
    assert refusal(token) == f"the header has {name}, which is not understood here"


def test_several_of_them_are_named_in_their_order():
    assert refusal(signed(zip="DEF", crit=["b64"], b64=False)) == (
        "the header has b64, crit, zip, which is not understood here"
    )


def test_a_token_has_8192_octets_at_most():
    empty = signed(x="")
    longest = signed(x="x" * ((jws.MOST_OCTETS - len(empty)) * 3 // 4 - 3))
    assert jws.MOST_OCTETS - 8 <= len(longest) <= jws.MOST_OCTETS == 8192
    assert verify(longest, key("ES256"))
    head = f"{b64(b'{}' + b' ' * 3001)}.e30."
    rest = "A" * (jws.MOST_OCTETS - len(head))
    assert len(jws.read(f"{head}{rest}".encode()).signature) == len(rest) * 3 // 4
    assert refusal(f"{head}{rest}A") == "it is longer than 8192 octets"
    assert refusal(b"." * 100_000) == "it is longer than 8192 octets"


# --- verifying ------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_a_token_is_verified_by_kid_by_thumbprint_and_by_trying(algorithm):
    ours = key(algorithm, kid="www")
    thumbprint = mint.key(algorithm).thumbprint()
    assert ours.thumbprint == thumbprint
    for members in ({"kid": "www"}, {"kid": thumbprint}, {}):
        assert verify(signed(algorithm, **members), ours) is ours


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
@pytest.mark.parametrize("members", [{"kid": "www"}, {}])
def test_another_key_or_another_text_is_a_wrong_signature(algorithm, members):
    ours = key(algorithm, kid="www")
    reason, words = untrusted(signed(algorithm, "somebody else", **members), ours)
    assert reason is Reason.TOKEN_SIGNATURE_WRONG
    assert words == (
        "the key www has not signed this"
        if members
        else f"none of 1 keys for {algorithm} has signed it"
    )
    first, _, third = signed(algorithm, **members).split(".")
    for token in (f"{first}.{b64(b'{}')}.{third}", f"{first}.e30.", f"{first}.e30.{third}AAAA"):
        assert untrusted(token, ours)[0] is Reason.TOKEN_SIGNATURE_WRONG


@pytest.mark.parametrize("said", [name for name in mint.ALGORITHMS if name != "RS256"])
def test_the_algorithm_is_that_of_the_key(said):
    """A key that verifies RS256 does not verify PS256, and none takes HS256 with its own text."""
    ours = key("RS256", kid="www")
    named = mint.jwt(CLAIMS, mint.key("RS256"), header={"alg": said, "kid": "www"})
    assert untrusted(named, ours) == (
        Reason.TOKEN_ALGORITHM_REFUSED, f"`alg` is '{said}', not RS256",
    )  # fmt: skip
    unnamed = mint.jwt(CLAIMS, mint.key("RS256"), header={"alg": said})
    assert untrusted(unnamed, ours) == (
        Reason.TOKEN_ALGORITHM_REFUSED, f"no key is for the `alg` '{said}'",
    )  # fmt: skip


@pytest.mark.parametrize(
    "said", ["none", "None", "NONE", "", "es256", "ES256 ", "RS1", "dir", "\0"]
)
@pytest.mark.parametrize("members", [{"kid": "www"}, {}])
def test_no_algorithm_but_those_that_there_are(said, members):
    header = b64(json.dumps({"alg": said, **members}).encode())
    for signature in ("", mint.b64(b"x" * 64)):
        reason, _ = untrusted(f"{header}.e30.{signature}", key("ES256", kid="www"))
        assert reason is Reason.TOKEN_ALGORITHM_REFUSED


@pytest.mark.parametrize("said", [None, 5, True, ["ES256"], {"ES256": 1}, mint.NOT_THERE])
def test_an_alg_that_is_missing_or_no_string_is_out_of_form(said):
    header = mint.without({"alg": said, "kid": "www"})
    token = mint.jwt(CLAIMS, mint.key("ES256"), header=header)
    with pytest.raises(Malformed) as raised:
        verify(token, key("ES256", kid="www"))
    assert raised.value.words == "the header's `alg` is missing, or no string"


@pytest.mark.parametrize("kid", [None, 5, True, ["www"], {}, "x" * 257])
def test_a_kid_that_is_no_string_or_too_long_is_out_of_form(kid):
    with pytest.raises(Malformed) as raised:
        verify(signed(kid=kid), key("ES256", kid="www"))
    assert raised.value.words == "the header's `kid` is no string, or too long"


@pytest.mark.parametrize("kid", ["", "w", "WWW", "www ", "www.pem", "../www", "x" * 256, "\ud800"])
def test_a_kid_is_that_of_a_key_to_the_letter(kid):
    header = json.dumps({"alg": "ES256", "kid": kid}).encode()
    token = mint.jwt(CLAIMS, mint.key("ES256"), header=header)
    reason, words = untrusted(token, key("ES256", kid="www"))
    assert reason is Reason.TOKEN_KEY_UNKNOWN
    assert words.startswith("there is no key '")
    assert words.endswith("; there is 'www'")
    assert words.isprintable()
    assert words.replace("…", "").isascii()


def test_a_kid_of_256_characters_is_taken():
    long = "k" * keys.MOST_KID
    assert verify(signed(kid=long), key("ES256", kid=long)).kid == long


def test_a_token_that_names_a_key_is_not_tried_with_others():
    ours, other = key("ES256", kid="ours"), key("ES256", "other", kid="other")
    assert verify(signed(kid="ours"), ours, other) is ours
    assert untrusted(signed(kid="other"), ours, other)[0] is Reason.TOKEN_SIGNATURE_WRONG
    assert untrusted(signed(kid="third"), ours, other)[0] is Reason.TOKEN_KEY_UNKNOWN


def test_keys_that_there_are_are_told_to_who_names_another():
    """As many as fit a line."""
    many = [key("EdDSA", f"other {n}", kid=f"k{n}") for n in range(9)]
    assert untrusted(signed("EdDSA", kid="x"), *many[:2])[1] == (
        "there is no key 'x'; there is 'k0', 'k1'"
    )
    assert untrusted(signed("EdDSA", kid="x"), *many)[1].endswith("'k6', 'k7'")
    assert untrusted(signed("EdDSA", kid="x"))[1] == "there is no key 'x'; there is none"


def test_without_a_kid_all_keys_of_its_algorithm_are_tried_up_to_four():
    ours = key("EdDSA", kid="ours")
    others = [key("EdDSA", f"other {n}", kid=f"other {n}") for n in range(keys.MOST_TRIED)]
    beside = key("ES256", kid="beside")
    assert verify(signed("EdDSA"), beside, *others[1:], ours) is ours
    assert untrusted(signed("EdDSA", "stranger"), beside, *others)[1] == (
        "none of 4 keys for EdDSA has signed it"
    )
    assert untrusted(signed("EdDSA"), *others, ours) == (
        Reason.TOKEN_KEY_UNKNOWN,
        "it names no key (`kid`), and there are 5 for EdDSA",
    )
    assert verify(signed("EdDSA", kid="ours"), *others, ours) is ours


def test_an_issuer_without_keys_trusts_nobody():
    assert untrusted(signed())[0] is Reason.TOKEN_ALGORITHM_REFUSED
    assert untrusted(signed(kid="www"))[0] is Reason.TOKEN_KEY_UNKNOWN


def test_keys_that_a_header_brings_or_points_to_are_ignored():
    own = mint.key("ES256", "attacker")
    members = {"jwk": own.jwk(), "jku": "https://evil.example/jwks", "x5u": "https://evil.example",
               "x5c": ["AAAA"], "x5t": "AAAA"}  # fmt: skip
    assert untrusted(mint.jwt(CLAIMS, own, **members), key("ES256"))[0] is (
        Reason.TOKEN_SIGNATURE_WRONG
    )
    assert verify(signed(**members), key("ES256"))


def test_a_trace_names_the_key_and_never_what_was_signed():
    trace = Trace()
    verify(signed(kid="www"), key("ES256", kid="www"), trace=trace)
    assert trace.steps == [("key", "'www' is the key www, for ES256")]


def test_a_trace_names_the_key_that_was_found_by_trying():
    trace = Trace()
    other, ours = key("ES256", "other", kid="other"), key("ES256", kid="ours")
    assert verify(signed(), other, ours, trace=trace) is ours
    assert trace.steps == [("key", "none is named; the key ours, for ES256, is the one")]
    with pytest.raises(Untrusted):
        verify(signed("ES256", "stranger"), other, ours, trace=(trace := Trace()))
    assert trace.steps == []


class Odd:
    """What a library might raise of a signature that it cannot read."""

    def __init__(self, error):
        self.error = error

    def verify(self, signed, signature, key):
        raise self.error


@pytest.mark.parametrize("error", [ValueError(), JoseError(), UnsupportedAlgorithm("x")])
def test_a_signature_that_the_library_chokes_on_is_a_wrong_one(error):
    ours = key("ES256", kid="www")
    ours._model = Odd(error)
    assert untrusted(signed(kid="www"), ours)[0] is Reason.TOKEN_SIGNATURE_WRONG


# --- signing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_what_we_sign_is_verified_by_the_public_half(algorithm):
    private = key(algorithm, kid="www", private=True)
    assert private.signs
    token = jws.sign({"typ": "JWT", "kid": "another"}, CLAIMS, private)
    public = key(algorithm, kid="www")
    assert public.signs is algorithm.startswith("HS")
    assert verify(token, public) is public
    read = jws.read(token.encode())
    assert read.header == {"alg": algorithm, "typ": "JWT", "kid": "www"}
    assert json.loads(read.payload) == CLAIMS


def test_what_we_sign_has_no_blanks_and_no_padding():
    token = jws.sign({}, {"a": 1, "b": [1, 2]}, key("ES256", kid="www", private=True))
    first, second, third = token.split(".")
    assert mint.unb64(first) == b'{"alg":"ES256","kid":"www"}'
    assert mint.unb64(second) == b'{"a":1,"b":[1,2]}'
    assert len(mint.unb64(third)) == 64
    assert "=" not in token
