"""Other authorities in a domain: what they may stand beside, and what nobody has to say of them."""

from __future__ import annotations

import pytest

from tests.test_config_tokens import DOMAIN, GOOD, LOCAL, load, mistakes, one_mistake
from tests.test_config_tokens import folder as folder

SSO = """
[checkers.sso]
kind = "tests.authorities"
own_tokens = true
"""
BESIDE = DOMAIN.replace('"tokens", ', '"sso", ') + LOCAL


def test_who_has_tokens_alone_is_not_asked_about_users(folder):
    (domain,) = load(folder, BESIDE + SSO).domains.values()
    assert (domain.check, domain.exists) == (("sso", "local"), ("local",))
    (domain,) = load(folder, BESIDE + SSO + "knows_users = true\n").domains.values()
    assert domain.exists == ("sso", "local")


def test_alone_somebody_has_to_say_who_exists(folder):
    text = BESIDE.replace(', "local"', "").replace(LOCAL, "") + SSO
    assert one_mistake(folder, text).startswith(
        'domains."example.org".exists: is missing, and sso cannot tell who exists'
    )


def test_never_means_something_where_there_are_tokens(folder):
    text = BESIDE.replace("check =", 'never = ["admin"]\ncheck =') + SSO
    assert mistakes(folder, text) == []
    (said,) = mistakes(folder, text.replace("own_tokens = true", "knows_users = true"))
    assert said.startswith('domains."example.org".never: is about tokens')


def test_who_takes_everything_for_a_token_stands_beside_no_passwords(folder):
    said = one_mistake(folder, BESIDE + SSO + "takes_all = true\n")
    assert said == (
        'domains."example.org".check: sso would be shown the passwords of local, and local its '
        "tokens: say what the tokens of sso look like (token_length, token_prefix)"
    )
    alone = GOOD.replace('"local"', '"sso"').replace("check =", 'exists = "always"\ncheck =')
    assert mistakes(folder, alone.replace(LOCAL, "") + SSO + "takes_all = true\n") == []


def test_no_two_take_the_same_for_their_tokens(folder):
    text = BESIDE.replace('"sso", ', '"sso", "www", ') + SSO
    for one, other, expected in (
        ("token_length = 43", "token_length = [40, 50]", True),
        ('token_prefix = "gho_"', "token_length = 43", True),
        ("token_length = 43", 'token_prefix = "gho_"', False),  # the tokens of www come first
        ("token_length = 43", "token_length = 44", False),
        ("token_length = 43", "", False),
    ):
        www = SSO.replace("sso", "www") + other + "\n"
        assert (
            mistakes(folder, text + one + "\n" + www)
            == [
                'domains."example.org".check: www would be shown the tokens of sso, which may look '
                "like its own: say better what each look like (token_length, token_prefix)"
            ]
            * expected
        ), (one, other)


def test_one_issuers_tokens_have_one_judge_in_a_domain(folder):
    text = BESIDE.replace('"sso", ', '"sso", "www", ') + SSO + 'issuer = "https://sso.example"\n'
    www = SSO.replace("sso", "www")
    assert mistakes(folder, text + www + 'issuer = "https://sso.example"\n') == [
        'domains."example.org".check: sso and www have the tokens of one issuer: www decides, and '
        "sso is never asked"
    ]
    assert mistakes(folder, text + www + 'issuer = "https://www.example"\n') == []


@pytest.mark.parametrize("own", ["https://www.example.org", "https://elsewhere.example.org"])
def test_an_issuer_has_one_judge(folder, own):
    text = GOOD.replace('"local"', '"sso", "local"') + SSO + f'issuer = "{own}"\n'
    said = mistakes(folder, text)
    if own == "https://www.example.org":
        assert said == [
            'checkers.sso.issuer: is issuers."https://www.example.org" too: who judges its tokens '
            "would be anybody's guess; keep one of the two"
        ]
    else:
        assert said == []
