"""The configuration of tokens: checkers, issuers and domains that fit together."""

from __future__ import annotations

import re

import pytest
from twisted.internet.task import Clock

from authbridge import config, password_hash, wiring
from authbridge.localparts import Localparts
from authbridge.model import JID
from authbridge.settings import ConfigurationError
from tests.issuers.folders import SECRETS, pem, write
from tests.tokens import mint

HASH = password_hash.make(b"wonderland", password_hash.Cost(8, 1, 1))

TOKENS = """
[checkers.tokens]
kind = "token"
accept = ["jwt"]
"""
LOCAL = """
[checkers.local]
kind = "file"
path = "users"
"""
WWW = """
[issuers."https://www.example.org"]
keys = ["www.pem"]
algorithms = ["ES256"]
domains = ["example.org"]
"""
DOMAIN = """
[domains."example.org"]
check = ["tokens", "local"]
"""
COMPACT = """
[issuers.website]
kind = "compact"
secret_file = "secret"
domains = ["example.org"]
"""
GOOD = DOMAIN + TOKENS + LOCAL + WWW
ISSUER = 'issuers."https://www.example.org"'


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "users", f"alice@example.org:{HASH}".encode())
    write(tmp_path / "www.pem", pem("www"))
    write(tmp_path / "secret", SECRETS[0])
    return tmp_path


def load(folder, text, *, listens=False):
    path = folder / "authbridge.toml"
    path.write_text(text)
    return config.load(path, listens=listens)


def mistakes(folder, text, *, listens=False):
    try:
        load(folder, text, listens=listens)
    except ConfigurationError as error:
        return list(error.mistakes)
    return []


def one_mistake(folder, text):
    (line,) = mistakes(folder, text)
    return line


@pytest.mark.parametrize("listens", [True, False])
def test_a_good_configuration_is_composed(folder, listens):
    listen = '[listen]\nhttp = ["tcp:9281:interface=127.0.0.1"]\n[http]\nanonymous = true\n'
    read = load(folder, GOOD + listen, listens=listens)
    domain = read.domains["example.org"]
    assert (domain.check, domain.exists, domain.never) == (
        ("tokens", "local"), ("local",), Localparts(),
    )  # fmt: skip
    assert read.checkers["tokens"].recognises
    assert not read.checkers["tokens"].knows_users
    assert not read.checkers["local"].recognises
    assert read.checkers["tokens"].settings.accept == {"jwt"}
    (issuer,) = read.issuers.values()
    assert issuer.name == "https://www.example.org"


def test_without_tokens_there_are_no_issuers(folder):
    text = DOMAIN.replace('"tokens", ', "") + LOCAL
    assert load(folder, text).issuers == {}


# --- domains --------------------------------------------------------------------------------------


def test_a_token_checker_comes_first(folder):
    """Whoever stands before it would be shown tokens."""
    text = GOOD.replace('["tokens", "local"]', '["local", "tokens"]')
    assert one_mistake(folder, text) == (
        'domains."example.org".check: tokens has to come first: local would be shown tokens'
    )


def test_one_token_checker_decides_on_all_tokens(folder):
    text = GOOD.replace('["tokens", "local"]', '["tokens", "more", "local"]')
    text += TOKENS.replace("checkers.tokens", "checkers.more")
    assert one_mistake(folder, text) == (
        'domains."example.org".check: more is never asked: tokens decides on every token'
    )


def test_two_domains_may_have_a_token_checker_each(folder):
    text = GOOD + '[domains."example.net"]\ncheck = ["more", "local"]\n'
    text += TOKENS.replace("checkers.tokens", "checkers.more")
    assert mistakes(folder, text) == []


@pytest.mark.parametrize("exists", ['"always"', '"never"', '["local"]'])
def test_tokens_alone_need_a_word_on_who_exists(folder, exists):
    alone = GOOD.replace('["tokens", "local"]', '["tokens"]')
    words = one_mistake(folder, alone)
    assert words.startswith(
        'domains."example.org".exists: is missing, and tokens cannot tell who exists; give '
        '"always", "never" or "seen" (docs/tokens.md'
    )
    assert mistakes(folder, alone.replace('["tokens"]', f'["tokens"]\nexists = {exists}')) == []


def test_who_exists_is_not_asked_of_tokens(folder):
    text = GOOD.replace('"local"]', '"local"]\nexists = ["tokens", "local"]')
    assert one_mistake(folder, text).startswith(
        'domains."example.org".exists: tokens cannot tell who exists; give "always", "never" or '
        '"seen"'
    )


def test_who_never_logs_in_by_token_is_prepared(folder):
    text = GOOD.replace('"local"]', '"local"]\nnever = ["Admin", "root", "Müller"]')
    never = load(folder, text).domains["example.org"].never
    assert never == Localparts(frozenset({"admin", "root", "müller"}))


@pytest.mark.parametrize(
    ("never", "mistake"),
    [
        ('["a b"]', '"a b": the user\'s name holds a character that a JID may not hold'),
        ('["admin@example.org"]', '"admin@example.org": users stand here without "@" and their'),
        ('["*@example.org"]', '"*@example.org": users stand here without "@" and their'),
        ('"admin"', "should be a list of different strings"),
        ('["admin", "admin"]', "should be a list of different strings"),
    ],
)
def test_who_is_never_let_in_is_a_list_of_users(folder, never, mistake):
    text = GOOD.replace('"local"]', f'"local"]\nnever = {never}')
    assert one_mistake(folder, text).startswith(f'domains."example.org".never: {mistake}')


@pytest.mark.parametrize(
    ("exists", "example"), [('"local"', "local"), ("true", "corp"), ("5", "corp")]
)
def test_who_exists_is_a_word_or_a_list(folder, exists, example):
    text = GOOD.replace('"local"]', f'"local"]\nexists = {exists}')
    assert one_mistake(folder, text) == (
        f'domains."example.org".exists: should be "always", "never", "seen" or a list of checkers: '
        f'["{example}"]'
    )


def test_a_checker_may_be_called_always(folder):
    text = GOOD.replace('"local"]', '"local"]\nexists = "always"')
    text += LOCAL.replace("checkers.local", "checkers.always")
    assert load(folder, text).domains["example.org"].exists is True


def test_never_is_about_tokens(folder):
    text = GOOD + '[domains."example.net"]\ncheck = ["local"]\nnever = ["admin"]\n'
    assert one_mistake(folder, text) == (
        'domains."example.net".never: is about tokens, and no checker of kind "token" is in check'
    )
    assert mistakes(folder, text.replace('never = ["admin"]', "never = []")) == []
    mistaken = GOOD.replace('kind = "token"', 'kind = "tokne"')
    mistaken = mistaken.replace('"local"]', '"local"]\nnever = ["admin"]')
    assert one_mistake(folder, mistaken).startswith("checkers.tokens.kind: ")


def test_a_checker_with_a_mistake_in_its_kind_is_said_to_be_that_alone(folder):
    text = GOOD.replace('kind = "token"', 'kind = "tokne"')
    found = mistakes(folder, text)
    assert found[0] == 'checkers.tokens.kind: there is no kind "tokne"; did you mean "token"?'
    assert not any(line.startswith("domains.") for line in found)


def test_who_registers_is_not_asked_beside_tokens_alone(folder):
    """Tokens cannot tell who exists: a stranger could register a name that a website signs for."""
    corp = """
[checkers.corp]
kind = "ldap"
servers = ["ldaps://a.example.org"]
base = "dc=example,dc=org"
bind_dn = "cn=service,dc=example,dc=org"
bind_password_file = "secret"
writes = true
new_users = "ou=people,dc=example,dc=org"
"""
    text = GOOD.replace('"local"]', '"corp"]').replace(LOCAL, corp)
    words = one_mistake(folder, text)
    assert words.startswith('domains."example.org".check: tokens cannot tell who exists, so that')
    always = text.replace('"corp"]', '"corp"]\nexists = "always"')
    assert mistakes(folder, always) == []


# --- checkers and issuers -------------------------------------------------------------------------


def test_a_kind_that_is_accepted_has_an_issuer(folder):
    text = GOOD.replace('accept = ["jwt"]', 'accept = ["xcauth", "jwt", "compact"]')
    assert mistakes(folder, text) == [
        'checkers.tokens.accept: "compact", and there is no issuer of that kind',
        'checkers.tokens.accept: "xcauth", and there is no issuer of that kind',
    ]


def test_an_issuers_kind_is_accepted_by_somebody(folder):
    assert one_mistake(folder, GOOD + COMPACT) == (
        'issuers.website: is of kind "compact", which no checker of kind "token" accepts'
    )
    both = GOOD.replace('accept = ["jwt"]', 'accept = ["compact", "jwt"]')
    assert mistakes(folder, both + COMPACT) == []


def test_issuers_without_a_token_checker_are_a_mistake(folder):
    text = DOMAIN.replace('"tokens", ', "") + LOCAL + WWW
    assert one_mistake(folder, text).startswith(f'{ISSUER}: is of kind "jwt", which no checker')


def test_two_checkers_may_accept_a_kind_each(folder):
    text = GOOD + COMPACT.replace('domains = ["example.org"]', 'domains = ["example.net"]')
    text += '[domains."example.net"]\ncheck = ["more", "local"]\n'
    text += TOKENS.replace("checkers.tokens", "checkers.more").replace('"jwt"', '"compact"')
    assert mistakes(folder, text) == []


def without_tokens(text):
    """Whose domain has no checker of tokens."""
    return text.replace('["tokens", "local"]', '["local"]')


def test_an_issuers_domain_has_a_token_checker(folder):
    """Or its tokens would be shown to a directory."""
    assert one_mistake(folder, without_tokens(GOOD)) == (
        f'{ISSUER}.domains: "example.org": no checker of kind "token" is in '
        'domains."example.org".check, so that tokens would be taken for passwords; put tokens '
        "there, as the first"
    )


def test_each_of_an_issuers_domains_has_a_token_checker(folder):
    """That one has is not enough."""
    text = GOOD + '[domains."example.net"]\ncheck = ["local"]\n'
    assert mistakes(folder, text) == []
    both = text.replace('domains = ["example.org"]', 'domains = ["example.net", "example.org"]')
    words = one_mistake(folder, both)
    assert words.startswith(f'{ISSUER}.domains: "example.net": no checker of kind "token" is in ')


def test_the_token_checker_of_an_issuers_domain_accepts_its_kind(folder):
    text = GOOD + COMPACT + '[domains."example.net"]\ncheck = ["more", "local"]\n'
    text += TOKENS.replace("checkers.tokens", "checkers.more").replace('"jwt"', '"compact"')
    assert one_mistake(folder, text) == (
        'issuers.website.domains: "example.org": tokens, which is in '
        'domains."example.org".check, does not accept "compact"'
    )


def test_an_issuers_domain_may_be_served_by_that_of_a_star(folder):
    text = GOOD.replace('[domains."example.org"]', '[domains."*"]')
    assert mistakes(folder, text) == []
    words = one_mistake(folder, without_tokens(text))
    assert words.startswith(
        f'{ISSUER}.domains: "example.org": no checker of kind "token" is in domains."*".check, '
    )
    own = text + '[domains."example.org"]\ncheck = ["local"]\n'
    assert 'is in domains."example.org".check, ' in one_mistake(folder, own)


def test_some_domain_takes_the_tokens_of_an_issuer_for_all(folder):
    star = GOOD.replace('domains = ["example.org"]', 'domains = ["*"]')
    other = star + '[domains."example.net"]\ncheck = ["local"]\n'
    assert mistakes(folder, other) == []
    assert one_mistake(folder, without_tokens(other)) == (
        f'{ISSUER}.domains: "*": no domain has one in its check that accepts "jwt", as tokens does'
    )


def test_a_token_checker_is_in_the_check_of_a_domain(folder):
    text = GOOD + TOKENS.replace("checkers.tokens", 'checkers."more of them"')
    assert one_mistake(folder, text) == (
        'checkers."more of them": is in no domain\'s check, so that it is never asked'
    )
    assert mistakes(folder, text + '[domains.a]\ncheck = ["more of them", "local"]\n') == []


def test_another_kind_of_checker_may_be_in_no_check(folder):
    assert mistakes(folder, GOOD + LOCAL.replace("checkers.local", "checkers.later")) == []


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('check = ["tokens", ', 'check = ["tokns", ', "there is no [checkers.tokns]; did you mean"),
        ('check = ["tokens", "local"]', "check = 5", 'domains."example.org".check: should be a li'),
        ('check = ["tokens", "local"]', "check = []", 'domains."example.org".check: names no'),
        ('[domains."example.org"]', '[domains."a b"]', 'domains."a b": the domain is not'),
        (DOMAIN, DOMAIN + '[domains."EXAMPLE.org"]\ncheck = ["local"]\n',
         'domains."EXAMPLE.org": is the same domain as another table: example.org'),
        ('check = ["tokens", "local"]', 'check = 5\nnever = ["admin"]',
         'domains."example.org".check: should be a list'),
        (DOMAIN, 'domains = 5', "domains: should be a table: [domains]"),
        (DOMAIN, '[domains]\n"example.org" = 5', 'domains."example.org": should be a table: '),
        ('kind = "token"', 'kind = "tokne"', 'checkers.tokens.kind: there is no kind "tokne"; did'),
        ('accept = ["jwt"]', 'accept = ["JWT"]', 'tokens.accept: "JWT" is not known; did you mean'),
        ('accept = ["jwt"]', 'accept = "jwt"', "checkers.tokens.accept: should be a list of"),
        ('accept = ["jwt"]', "accept = []", "checkers.tokens.accept: names no kind of token"),
        ('keys = ["w', 'kind = "JWT"\nkeys = ["w', f'{ISSUER}.kind: "JWT" is not known; did you'),
        (WWW, "", 'checkers.tokens.accept: "jwt", and there is no issuer of that kind'),
        (WWW, 'issuers = 5', "issuers: should be a table: [issuers]"),
        (WWW, "[issuers]\nwebsite = 5", "issuers.website: should be a table: [issuers.website]"),
        ('["ES256"]', '["es256"]', f'{ISSUER}.algorithms: "es256" is not known; did you mean "ES2'),
        ('["ES256"]', '["ES384"]', f"{ISSUER}.keys: "),
        ('algorithms = ["ES256"]', "", f"{ISSUER}.algorithms: is missing; say what its keys are"),
        ("algorithms =", "algoritms =", f"{ISSUER}.algorithms: is missing; say what its keys are"),
        ('keys = ["www.pem"]', 'secret_file = "secret"', f"{ISSUER}.secret_file: is for secrets,"),
        ('["example.org"]', '["example org"]', f'{ISSUER}.domains: "example org": the domain is'),
    ],
)  # fmt: skip
def test_a_mistake_is_said_once_and_not_what_follows_from_it(folder, old, new, mistake):
    assert old in GOOD
    top = new if re.match(r"\w+ = 5", new) and old in (DOMAIN, WWW) else ""
    found = mistakes(folder, top + "\n" + GOOD.replace(old, "" if top else new))
    assert mistake in found[0], found
    assert found[1:] in ([], [f'{ISSUER}.algoritms: there is no such setting; did you mean '
                              '"algorithms"?'])  # fmt: skip


def test_an_issuers_domain_is_served(folder):
    text = GOOD.replace('domains = ["example.org"]', 'domains = ["example.og", "*"]')
    assert one_mistake(folder, text) == (
        f'{ISSUER}.domains: "example.og" is not served; did you mean "example.org"?'
    )
    everywhere = text.replace('[domains."example.org"]', '[domains."*"]')
    assert mistakes(folder, everywhere) == []
    star = GOOD.replace('domains = ["example.org"]', 'domains = ["*"]')
    assert mistakes(folder, star) == []


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("listens", [True, False])
def test_a_mistake_in_a_key_is_one_of_the_configuration(folder, listens):
    write(folder / "www.pem", b"-----BEGIN PUBLIC KEY-----\n")
    found = mistakes(folder, GOOD, listens=listens)
    line = f"{ISSUER}.keys: {folder}/www.pem is no PEM of a key that can be read"
    assert line in found
    (folder / "www.pem").unlink()
    assert f"{ISSUER}.keys: {folder}/www.pem: No such file or directory" in mistakes(folder, GOOD)


@pytest.mark.parametrize("names", [[], [".hidden.pem", "www.pem~"]])
def test_a_folder_without_a_key_is_a_mistake(folder, names):
    (folder / "www").mkdir(mode=0o700)
    for name in names:
        write(folder / "www" / name, pem("www"))
    text = GOOD.replace('"www.pem"', '"www"')
    line = f"{ISSUER}.keys: no key is in {folder}/www; `authbridge key new` makes one"
    assert one_mistake(folder, text) == line
    both = text.replace('"www"', '"www", "www.pem"')
    assert mistakes(folder, both) == []
    write(folder / "www" / "www.pem", pem("www"))
    assert mistakes(folder, text) == []


def test_a_key_that_is_mistaken_is_said_and_not_that_there_is_none(folder):
    (folder / "www").mkdir(mode=0o700)
    write(folder / "www" / "www.pem", b"no key")
    words = one_mistake(folder, GOOD.replace('"www.pem"', '"www"'))
    assert words.startswith(f"{ISSUER}.keys: {folder}/www/www.pem")


def test_a_mistake_elsewhere_in_its_table_does_not_hide_one_in_a_key(folder):
    """The keys are read where their own settings are good."""
    text = GOOD.replace("domains = [", 'leeway = "2m"\ndomains = [')
    (folder / "www.pem").unlink()
    assert [line.partition(": ")[0] for line in mistakes(folder, text)] == [
        f"{ISSUER}.leeway", f"{ISSUER}.keys",
    ]  # fmt: skip


def test_a_mistake_in_a_secret_stands_at_its_own_setting(folder):
    text = GOOD.replace('accept = ["jwt"]', 'accept = ["compact", "jwt"]') + COMPACT
    write(folder / "secret", b"short")
    words = one_mistake(folder, text)
    assert words.startswith(f"issuers.website.secret_file: {folder}/secret has 5 octets")
    write(folder / "secret", SECRETS[0], 0o644)
    words = one_mistake(folder, text)
    assert words.startswith("issuers.website.secret_file: ")
    assert words.endswith(f"is open to others (mode 644); chmod 640 {folder}/secret")
    assert SECRETS[0].decode() not in words


def test_one_key_of_two_issuers_has_one_algorithm(folder):
    write(folder / "www.pem", pem("www", "RS256"))
    text = GOOD.replace("ES256", "RS256") + WWW.replace("www.example.org", "b.example").replace(
        "ES256", "PS256"
    )
    assert one_mistake(folder, text) == (
        f'issuers."https://b.example".keys: {folder}/www.pem is a key of '
        'issuers."https://www.example.org" too, for RS256 there and PS256 here; a key has one '
        "algorithm"
    )
    same = GOOD + WWW.replace("www.example.org", "b.example")
    write(folder / "www.pem", pem("www"))
    assert mistakes(folder, same) == []


def test_a_secret_is_of_one_kind_of_token(folder):
    text = GOOD.replace('accept = ["jwt"]', 'accept = ["compact", "xcauth", "jwt"]') + COMPACT
    text += COMPACT.replace("website", "nextcloud").replace('"compact"', '"xcauth"')
    assert "for compact there and xcauth here" in one_mistake(folder, text)


def test_keys_by_url_are_not_fetched_to_judge_the_configuration(folder):
    text = GOOD.replace('keys = ["www.pem"]', 'jwks_url = "https://nowhere.invalid/jwks"')
    assert mistakes(folder, text) == []


def test_mistakes_of_issuers_are_reported_with_all_others(folder):
    text = GOOD.replace('["ES256"]', '["ES265"]').replace('"users"', '"nobody"')
    text = text.replace('accept = ["jwt"]', 'accept = ["jwt", "jwe"]')
    found = [line.partition(": ")[0] for line in mistakes(folder, text)]
    keys = ["checkers.local.path", "checkers.tokens.accept", f"{ISSUER}.algorithms"]
    assert sorted(found) == keys


def test_what_is_configured_holds_no_secret_that_could_be_shown(folder):
    text = GOOD.replace('accept = ["jwt"]', 'accept = ["compact", "jwt"]') + COMPACT
    assert SECRETS[0].decode() not in repr(load(folder, text))


# --- what is made of it ---------------------------------------------------------------------------


def test_never_is_for_its_domain_and_that_of_a_star_for_the_others(folder):
    text = GOOD.replace('"local"]', '"local"]\nnever = ["admin"]')
    text += '[domains."*"]\ncheck = ["tokens"]\nexists = "always"\nnever = ["root"]\n'
    never = wiring.never_token(load(folder, text))
    assert never(JID("admin", "example.org"))
    assert not never(JID("root", "example.org"))
    assert never(JID("root", "anywhere.example"))
    assert not never(JID("admin", "anywhere.example"))


def test_never_has_stars_for_anything(folder):
    text = GOOD.replace('"local"]', '"local"]\nnever = ["admin*", "root"]')
    never = wiring.never_token(load(folder, text))
    for local in ("admin", "admin-2", "administrator", "root"):
        assert never(JID(local, "example.org")), local
    for local in ("anadmin", "root2", "*"):
        assert not never(JID(local, "example.org")), local


def test_where_nobody_is_named_everybody_may_have_a_token(folder):
    never = wiring.never_token(load(folder, GOOD))
    for domain in ("example.org", "example.net", "*"):
        assert not never(JID("admin", domain))


def test_issuers_have_their_files_or_what_is_fetched(folder):
    text = GOOD + WWW.replace("www.example.org", "b.example").replace(
        'keys = ["www.pem"]', 'jwks_url = "https://b.example/jwks"'
    )
    issuers = wiring.make_issuers(load(folder, text), Clock())
    ours, theirs = issuers
    assert ours.files is not None
    assert ours.fetched is None
    assert theirs.files is None
    assert theirs.fetched is not None
    issuers.refresh()
    assert ours.keys().names() == ["www"]
    assert ours.keys().set.by_id["www"].thumbprint == mint.key("ES256", "www").thumbprint()
