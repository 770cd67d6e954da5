"""All issuers with the keys that they have now."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from authbridge.issuers.issuers import Issuer, Issuers, KeysUnavailable
from authbridge.issuers.key_files import KeyFiles
from authbridge.issuers.keyring import Keyring, bind_one
from authbridge.model import Reason, Verdict
from authbridge.tokens import key_texts
from tests.issuers.folders import NAME, SECRETS, pem, said, settings, write
from tests.tokens import mint


class House:
    """Issuers of files, with their clock in the test's hands."""

    def __init__(self, folder, *kinds, **given):
        self.seconds = 1000.0
        self.folder = folder
        self.issuers = Issuers((), lambda: self.seconds)
        self.found = []

    def add(self, kind="jwt", /, **given):
        name = given.pop("name", f"issuer {len(self.found)}")
        self.found.append(Issuer(settings(self.folder, kind, name=name, **given)))
        self.issuers = Issuers(self.found, lambda: self.seconds)
        return self.found[-1]

    def later(self, seconds=1.0):
        self.seconds += seconds
        self.issuers.refresh()


@pytest.fixture
def house(tmp_path):
    (tmp_path / "keys").mkdir()
    return House(tmp_path)


@pytest.fixture
def keys(tmp_path, house):
    return tmp_path / "keys"


def kids(issuer):
    return issuer.keys().names()


# --- finding --------------------------------------------------------------------------------------


def test_a_jwt_finds_its_issuer_by_name(house, keys):
    ours = house.add(name=NAME)
    house.add("compact", name="website")
    assert house.issuers.jwt(NAME) is ours
    for name in ("website", NAME + "/", "", NAME.upper()):
        assert house.issuers.jwt(name) is None
    assert list(house.issuers.jwt_names()) == [NAME]
    assert list(house.issuers) == house.found


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_the_others_find_it_by_key_id(house, keys, kind):
    write(keys / "a.secret", SECRETS[0])
    ours = house.add(kind)
    house.issuers.start()
    make = mint.compact_key_id if kind == "compact" else mint.xcauth_key_id
    ((issuer, key),) = house.issuers.signers(kind, make(SECRETS[0]))
    assert issuer is ours
    assert key.secret.reveal() == SECRETS[0]
    assert house.issuers.signers(kind, make(SECRETS[1])) == ()
    other = "xcauth" if kind == "compact" else "compact"
    assert house.issuers.signers(other, make(SECRETS[0])) == ()


def test_two_issuers_with_one_secret_are_both_found(house, keys):
    write(keys / "a.secret", SECRETS[0])
    both = [house.add("compact"), house.add("compact")]
    house.issuers.start()
    found = house.issuers.signers("compact", mint.compact_key_id(SECRETS[0]))
    assert [issuer for issuer, _ in found] == both


# --- looking at files -----------------------------------------------------------------------------


def test_files_are_looked_at_once_a_second_at_most(house, keys):
    ours = house.add()
    house.issuers.start()
    write(keys / "a.pem", pem("a"))
    house.later(0.999)
    assert kids(ours) == []
    house.later(0.001)
    assert kids(ours) == ["a"]
    (keys / "a.pem").unlink()
    house.later(0.5)
    assert kids(ours) == ["a"]
    house.later(0.5)
    assert kids(ours) == []


def test_a_clock_that_is_set_back_does_not_freeze_the_keys(house, keys):
    ours = house.add()
    house.issuers.start()
    write(keys / "a.pem", pem("a"))
    house.later(-500)
    assert kids(ours) == ["a"]
    write(keys / "b.pem", pem("b"))
    house.later(1)
    assert kids(ours) == ["a", "b"]


def test_a_retired_secret_verifies_nothing_and_its_tokens_are_tokens_still(house, keys):
    """Else they would be passed on as passwords until they are over."""
    write(keys / "a.secret", SECRETS[0])
    house.add("xcauth")
    house.issuers.start()
    retired, new = mint.xcauth_key_id(SECRETS[0]), mint.xcauth_key_id(SECRETS[1])
    assert house.issuers.xcauth_key_ids == {retired}
    (keys / "a.secret").unlink()
    write(keys / "b.secret", SECRETS[1])
    house.later()
    assert house.issuers.signers("xcauth", retired) == ()
    assert len(house.issuers.signers("xcauth", new)) == 1
    assert house.issuers.xcauth_key_ids == {retired, new}


def test_compact_tokens_need_no_key_to_be_recognised(house, keys):
    write(keys / "a.secret", SECRETS[0])
    house.add("compact")
    house.issuers.start()
    assert house.issuers.xcauth_key_ids == set()


def test_a_fault_with_one_issuers_files_keeps_no_others_back(house, keys, events, monkeypatch):
    def broken():
        raise RuntimeError("wonderland")

    write(keys / "a.pem", pem("a"))
    faulty, ours = house.add(name="faulty"), house.add()
    monkeypatch.setattr(faulty, "look", broken)
    house.issuers.start()
    assert kids(faulty) == []
    assert kids(ours) == ["a"]
    write(keys / "b.pem", pem("b"))
    house.later()
    assert kids(ours) == ["a", "b"]
    failure, _ = [event for event in events if "log_failure" in event]
    assert failure["name"] == "faulty"


def test_a_fault_of_the_last_issuer_keeps_no_others_back_either(house, keys, events, monkeypatch):
    def broken():
        raise RuntimeError("wonderland")

    write(keys / "a.pem", pem("a"))
    ours, faulty = house.add(), house.add(name="faulty")
    monkeypatch.setattr(faulty, "look", broken)
    house.issuers.start()
    assert kids(ours) == ["a"]
    (failure,) = [event for event in events if "log_failure" in event]
    assert failure["name"] == "faulty"


# --- contradictions -------------------------------------------------------------------------------


def test_a_key_that_two_issuers_use_in_two_ways_is_used_by_neither(house, keys, events):
    write(keys / "a.json", mint.key("RS256").jwk(kid="a"))
    one = house.add(algorithms=["RS256"])
    two = house.add(algorithms=["PS256"])
    house.issuers.start()
    assert kids(one) == kids(two) == []
    (line,) = said(events)
    assert line.startswith("issuer issuer 1: ")
    assert line.endswith("a key has one algorithm; it is used for neither")


def test_a_secret_that_two_kinds_use_is_used_by_neither(house, keys):
    write(keys / "a.secret", SECRETS[0])
    house.add("compact")
    house.add("xcauth")
    house.issuers.start()
    assert house.issuers.signers("compact", mint.compact_key_id(SECRETS[0])) == ()
    assert house.issuers.signers("xcauth", mint.xcauth_key_id(SECRETS[0])) == ()
    # Its tokens are tokens all the same, and nobody else's to look at.
    assert mint.xcauth_key_id(SECRETS[0]) in house.issuers.xcauth_key_ids


def test_it_is_used_again_when_one_of_them_has_it_no_more(house, tmp_path, keys):
    (tmp_path / "other").mkdir()
    write(keys / "a.json", mint.key("RS256").jwk(kid="a"))
    write(tmp_path / "other" / "a.json", mint.key("RS256").jwk(kid="a"))
    one = house.add(algorithms=["RS256"])
    house.add(algorithms=["PS256"], keys=["other"])
    house.issuers.start()
    assert kids(one) == []
    (tmp_path / "other" / "a.json").unlink()
    house.later()
    assert kids(one) == ["a"]


def test_several_keys_that_two_issuers_use_in_two_ways_are_used_by_neither(house, keys, events):
    for name in ("a", "b"):
        write(keys / f"{name}.json", mint.key("RS256", name).jwk(kid=name))
    one = house.add(algorithms=["RS256"])
    two = house.add(algorithms=["PS256"])
    house.issuers.start()
    assert kids(one) == kids(two) == []
    assert len(said(events)) == 2
    write(keys / "c.json", mint.key("RS256", "c").jwk(kid="c", alg="RS256"))
    house.later()
    assert (kids(one), kids(two)) == (["c"], [])


# --- what is said of a good token -----------------------------------------------------------------


def key_of(issuer, kid, owner="a"):
    """A key that an issuer has under this name."""
    jwk = mint.key("ES256", owner).jwk()
    key = bind_one(key_texts.read(mint.text(jwk), "here", "www", secrets=False), issuer.settings)
    key.kid = kid
    return key


def test_a_good_token_is_accepted_in_the_name_of_its_signer(house):
    issuer = house.add(name=NAME)
    outcome = issuer.accepted(key_of(issuer, "2026"))
    assert (outcome.verdict, outcome.reason) == (Verdict.ACCEPTED, Reason.TOKEN_VALID)
    assert outcome.signer == "https://www.example.org#2026"
    assert issuer.accepted(key_of(issuer, "2026", "b")) is outcome
    assert issuer.accepted(key_of(issuer, "2027")).signer == "https://www.example.org#2027"


@pytest.mark.parametrize("kid", ["a b", "a\nverdict=accepted", "é", '"', "%41", "\x1b[31m", "'"])
def test_a_signer_is_one_printable_word_whatever_its_key_is_called(house, kid):
    issuer = house.add(name="Our website, é")
    signer = issuer.accepted(key_of(issuer, kid)).signer
    assert signer.isascii()
    assert signer.isprintable()
    assert not set(" \"'") & set(signer)
    assert signer.startswith("Our%20website,%20%C3%A9#")


# --- keys that are fetched ------------------------------------------------------------------------


class Fetched:
    """Keys by URL, with the fetch in the test's hands."""

    def __init__(self, keys=None):
        self.keys = keys
        self.trouble = ""
        self.under_way = False
        self.over = Deferred()
        self.running = False

    def start(self):
        self.running = True

    def stop(self):
        self.running = False

    def current(self):
        return self.keys

    def ask_again(self):
        return self.under_way

    def ready(self):
        return self.over


@pytest.fixture
def fetched():
    return Fetched()


@pytest.fixture
def publisher(tmp_path, fetched):
    issuer = settings(tmp_path, keys=None, jwks_url="https://login.example.org/jwks")
    return Issuer(issuer, fetched)


def test_fetching_begins_and_ends_with_the_house(house, publisher, fetched):
    issuers = Issuers([publisher, house.add()], lambda: 0.0)
    issuers.start()
    assert fetched.running
    issuers.stop()
    assert not fetched.running


def test_what_was_fetched_is_used(publisher, fetched):
    fetched.keys = Keyring()
    assert publisher.keys() is fetched.keys
    assert publisher.files is None
    assert not publisher.look()
    publisher.use(())
    assert publisher.keys() is fetched.keys


@pytest.mark.parametrize("trouble", ["", "the server answers 500, for 3 s now"])
def test_keys_that_are_not_there_are_unavailable(publisher, fetched, trouble):
    fetched.trouble = trouble
    with pytest.raises(KeysUnavailable) as raised:
        publisher.keys()
    assert str(raised.value) == f"https://login.example.org/jwks: {trouble or 'not fetched yet'}"
    assert raised.value.settled() is fetched.over


def test_a_key_that_may_be_there_in_a_moment_is_not_missed_yet(publisher, fetched):
    publisher.misses_a_key()
    fetched.under_way = True
    with pytest.raises(KeysUnavailable) as raised:
        publisher.misses_a_key()
    assert str(raised.value) != ""
    assert raised.value.settled() is fetched.over


def test_a_key_may_be_a_new_one_while_they_cannot_be_fetched(publisher, fetched):
    fetched.trouble = "the server answers 500"
    with pytest.raises(KeysUnavailable) as raised:
        publisher.misses_a_key()
    assert raised.value.settled() is fetched.over
    fetched.trouble = ""
    publisher.misses_a_key()


def test_a_key_that_is_in_no_file_is_missed_at_once(house):
    house.add().misses_a_key()


def test_files_beside_a_publisher_are_taken_in(house, publisher, fetched, keys):
    write(keys / "a.pem", pem("a"))
    ours = house.add()
    issuers = Issuers([publisher, ours], lambda: 0.0)
    issuers.start()
    assert kids(ours) == ["a"]
    assert isinstance(ours.files, KeyFiles)
    with pytest.raises(KeysUnavailable):
        publisher.keys()


def test_nobody_signs_where_there_are_no_issuers():
    nobody = Issuers((), float)
    nobody.start()
    nobody.refresh()
    nobody.stop()
    assert nobody.jwt(NAME) is None
    assert nobody.signers("compact", b"1234") == ()
    assert list(nobody) == []
