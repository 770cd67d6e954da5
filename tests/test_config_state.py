"""The configuration of what is kept: the state, temporary tokens, single use, "seen"."""

from __future__ import annotations

import pytest

from authbridge import config
from authbridge.settings import ConfigurationError
from authbridge.stores import settings as state_settings
from authbridge.stores.redis import RedisStore
from authbridge.stores.sqlite import SqliteStore
from tests.issuers.folders import SECRETS, write
from tests.test_config_tokens import COMPACT, DOMAIN, GOOD, LOCAL, TOKENS, WWW, folder

__all__ = ["folder"]  # a fixture

TEMPORARY = '\n[checkers.tokens]\nkind = "token"\naccept = ["temporary"]\n'
KEEPING = DOMAIN + LOCAL + TEMPORARY
REDIS = '[authbridge]\nstate = "redis://127.0.0.1:6379/0"\n'


@pytest.fixture(autouse=True)
def secrets(folder):
    write(folder / "client", b"down-the-hole")
    write(folder / "redis", b"wonderland")
    write(folder / "secret", SECRETS[0])


def load(folder, text, **how):
    path = folder / "authbridge.toml"
    path.write_text(text)
    return config.load(path, **how)


def mistakes(folder, text, **how):
    try:
        load(folder, text, **how)
    except ConfigurationError as error:
        return list(error.mistakes)
    return []


def one_mistake(folder, text, **how):
    (line,) = mistakes(folder, text, **how)
    return line


# --- state ----------------------------------------------------------------------------------------


def test_without_a_word_it_is_a_file_of_the_daemons(folder):
    state = load(folder, KEEPING, listens=False).state
    assert str(state.path) == state_settings.DEFAULT == "/var/lib/authbridge/state.sqlite3"
    assert (state.redis, state.shared) == (None, False)


def test_a_file_is_found_beside_the_configuration(folder):
    text = '[authbridge]\nstate = "kept/tokens.sqlite3"\n' + KEEPING
    state = load(folder, text, listens=False).state
    assert state.path == folder / "kept" / "tokens.sqlite3"
    store = state.make()
    assert isinstance(store, SqliteStore)
    assert store.name == str(state.path)
    assert not (folder / "kept").exists()


def test_or_it_is_a_redis(folder):
    text = REDIS.replace("redis://", "redis://bridge@") + 'state_password_file = "redis"\n'
    state = load(folder, text + KEEPING, listens=False).state
    assert (state.path, state.shared) == (None, True)
    assert state.redis.password.reveal() == b"wonderland"
    assert "wonderland" not in repr(state)
    assert isinstance(state.make(), RedisStore)


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        ('state = ""', "authbridge.state: "),
        ("state = 1", "authbridge.state: should be "),
        ('state = "http://127.0.0.1/"', "authbridge.state: "),
        ('state = "redis://alice:wonderland@127.0.0.1"', "authbridge.state: "),
        ('states = "x"', 'authbridge.states: there is no such setting; did you mean "state"?'),
        ('state_password_file = "redis"', "authbridge.state_password_file: is about Redis, and"),
        ('state_ca_file = "ca.pem"', "authbridge.state_ca_file: is about Redis, and `state` is a"),
        ('state = "redis://127.0.0.1"\nstate_ca_file = "ca.pem"',
         "authbridge.state_ca_file: is about TLS, which rediss:// has and redis:// not"),
        ('state = "redis://127.0.0.1"\nstate_password_file = "none"',
         "authbridge.state_password_file: "),
        ('state = "rediss://127.0.0.1"\nstate_ca_file = "none"', "authbridge.state_ca_file: "),
        ("state_insecure_clear_text = true",
         "authbridge.state_insecure_clear_text: is about Redis, and `state` is a file"),
        ('state = "rediss://127.0.0.1"\nstate_insecure_clear_text = true',
         "authbridge.state_insecure_clear_text: is about redis://, and this is rediss://"),
        ('state = "rediss://127.0.0.1"\nstate_insecure_clear_text = false',
         "authbridge.state_insecure_clear_text: is about redis://, and this is rediss://"),
        ('state = "redis://127.0.0.1"\nstate_insecure_clear_text = "yes"',
         "authbridge.state_insecure_clear_text: should be true or false"),
        ('state = "redis://127.0.0.1"\nstate_clear_text = true',
         "authbridge.state_clear_text: there is no such setting; did you mean "
         '"state_insecure_clear_text"?'),
        ('state = "redis:///"\nstate_insecure_clear_text = true', "authbridge.state: "),
    ],
)  # fmt: skip
def test_a_mistake_in_it_is_one_line(folder, lines, mistake):
    found = one_mistake(folder, f"[authbridge]\n{lines}\n" + KEEPING, listens=False)
    assert found.startswith(mistake)
    assert "wonderland" not in found


@pytest.mark.parametrize("host", ["redis.example.org", "10.0.0.1", "[2001:db8::1]", "alice@redis"])
@pytest.mark.parametrize("more", ["", "state_insecure_clear_text = false\n"])
def test_nothing_is_kept_on_another_machine_in_clear_text(folder, host, more):
    text = f'[authbridge]\nstate = "redis://{host}"\n{more}{KEEPING}'
    assert one_mistake(folder, text, listens=False) == (
        "authbridge.state: is another machine's, unencrypted: whoever is on the way could log in "
        "as anybody; give rediss://, or state_insecure_clear_text = true"
    )


@pytest.mark.parametrize(
    "state",
    [
        'state = "redis://redis.example.org"\nstate_insecure_clear_text = true',
        'state = "rediss://redis.example.org"',
        'state = "redis://127.0.0.1"',
        'state = "redis://[::1]"',
        'state = "redis://localhost"',
        'state = "redis://localhost"\nstate_insecure_clear_text = true',
    ],
)
def test_unless_somebody_wants_it_so_or_there_is_no_way_to_be_on(folder, state):
    text = f"[authbridge]\n{state}\n{KEEPING}"
    assert load(folder, text, listens=False).state.shared


# --- what it is for -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "use"),
    [
        (KEEPING, 'checkers.tokens.accept has "temporary"'),
        (GOOD + "single_use = true\n",
         'issuers."https://www.example.org".single_use is true'),
        (GOOD + "revocable = true\n", 'issuers."https://www.example.org".revocable is true'),
        (DOMAIN.replace('"tokens", ', "") + 'exists = "seen"\n' + LOCAL,
         'domains."example.org".exists is "seen"'),
    ],
)  # fmt: skip
def test_programs_alone_cannot_share_a_file(folder, text, use):
    assert load(folder, text, listens=False).uses_of_state == (use,)
    assert one_mistake(folder, text, listens=False, standalone=True) == (
        f"authbridge.state: {use}, and ejabberd starts several --standalone programs, which cannot "
        'share one SQLite file; give state = "redis://…", or run the daemon'
    )
    assert mistakes(folder, REDIS + text, listens=False, standalone=True) == []


def test_who_keeps_nothing_may_be_alone(folder):
    assert mistakes(folder, GOOD, listens=False, standalone=True) == []
    assert load(folder, GOOD, listens=False).uses_of_state == ()


# --- temporary tokens -----------------------------------------------------------------------------


def test_temporary_tokens_need_no_issuer(folder):
    assert mistakes(folder, KEEPING, listens=False) == []
    both = GOOD.replace('accept = ["jwt"]', 'accept = ["jwt", "temporary"]')
    assert mistakes(folder, both, listens=False) == []


def test_and_are_of_no_issuers(folder):
    text = GOOD + '[issuers.more]\nkind = "temporary"\ndomains = ["example.org"]\n'
    found = [one for one in mistakes(folder, text, listens=False) if ".kind: " in one]
    assert [one.partition(": ")[0] for one in found] == ["issuers.more.kind"]


@pytest.mark.parametrize("kind", ["temporal", "temp0rary", "temporary "])
def test_a_kind_that_is_nearly_one_is_told(folder, kind):
    found = one_mistake(folder, KEEPING.replace('"temporary"', f'"{kind}"'), listens=False)
    assert found.startswith(f'checkers.tokens.accept: "{kind}" is not known; did you mean "temp')


# --- issuers --------------------------------------------------------------------------------------


def test_issuers_neither_look_up_nor_count_unless_they_are_told_to(folder):
    (issuer,) = load(folder, GOOD, listens=False).issuers.values()
    assert (issuer.single_use, issuer.revocable, issuer.needs_state) == (False, False, False)
    (issuer,) = load(folder, GOOD + "single_use = true\n", listens=False).issuers.values()
    assert (issuer.single_use, issuer.revocable, issuer.needs_state) == (True, False, True)
    (issuer,) = load(folder, GOOD + "revocable = true\n", listens=False).issuers.values()
    assert (issuer.single_use, issuer.revocable, issuer.needs_state) == (False, True, True)


def test_single_use_is_of_a_jwt_which_has_a_jti(folder):
    text = DOMAIN + LOCAL + TOKENS.replace('"jwt"', '"compact"') + COMPACT
    found = one_mistake(folder, text + "single_use = true\n", listens=False)
    assert found.startswith("issuers.website.single_use: ")
    assert "jwt" in found
    assert mistakes(folder, text + "revocable = true\n", listens=False) == []


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("single_use = 1", "single_use: "),
        ('revocable = "yes"', "revocable: "),
        ("single_uses = true", 'single_uses: there is no such setting; did you mean "single_use"?'),
        ("revokable = true", 'revokable: there is no such setting; did you mean "revocable"?'),
    ],
)
def test_a_mistake_of_an_issuer_is_one_line(folder, more, mistake):
    found = one_mistake(folder, f"{DOMAIN}{TOKENS}{LOCAL}{WWW}{more}\n", listens=False)
    assert found.startswith(f'issuers."https://www.example.org".{mistake}')


# --- domains --------------------------------------------------------------------------------------


def test_who_has_logged_in_before_exists_and_nobody_else(folder):
    domain = load(folder, KEEPING.replace('"local"]', '"local"]\nexists = "seen"'), listens=False)
    settings = domain.domains["example.org"]
    assert (settings.exists, settings.seen) == ((), True)
    assert not load(folder, KEEPING, listens=False).domains["example.org"].seen


def test_tokens_alone_may_have_it(folder):
    text = KEEPING.replace(', "local"]', ']\nexists = "seen"').replace(LOCAL, "")
    assert mistakes(folder, text, listens=False) == []


@pytest.mark.parametrize("word", ["sean", "Seen", "see"])
def test_a_word_that_is_nearly_it_is_told(folder, word):
    text = KEEPING.replace('"local"]', f'"local"]\nexists = "{word}"')
    found = one_mistake(folder, text, listens=False)
    assert found.startswith('domains."example.org".exists: ')
    assert '"seen"' in found


def test_it_is_no_checker(folder):
    text = KEEPING.replace('"local"]', '"local"]\nexists = ["seen"]')
    assert one_mistake(folder, text, listens=False).startswith(
        'domains."example.org".exists: there is no [checkers.seen]'
    )


def test_a_checker_of_that_name_is_asked_where_it_stands_in_a_list(folder):
    text = KEEPING.replace("local", "seen").replace('"seen"]', '"seen"]\nexists = ["seen"]')
    settings = load(folder, text, listens=False).domains["example.org"]
    assert (settings.exists, settings.seen) == (("seen",), False)
