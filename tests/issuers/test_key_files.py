"""Key files: what is read, what is not, and what becomes of keys whose file changes."""

from __future__ import annotations

import gc
import os
import signal

import pytest
from twisted.logger import LogLevel, formatEvent

from authbridge.issuers import key_files
from authbridge.issuers.key_files import KeyFiles
from tests.issuers.folders import NAME, SECRETS, later, pem, said, settings, write
from tests.tokens import mint

BROKEN = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


@pytest.fixture
def keys(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def files(tmp_path, keys):
    return KeyFiles(settings(tmp_path))


def kids(files):
    return files.keys.names()


def loaded(issuer):
    """The names of its keys, and what is wrong with them."""
    wrong = []
    return key_files.load(issuer, wrong.append).names(), wrong


# --- what is read ---------------------------------------------------------------------------------


def test_nothing_is_read_before_somebody_looks(keys, files):
    write(keys / "www.pem", pem("www"))
    assert kids(files) == []
    assert files.look()
    assert kids(files) == ["www"]
    assert not files.look()


def test_files_of_every_format_are_read_and_have_their_names(tmp_path, keys):
    write(keys / "a.pem", pem("a"))
    write(keys / "b.2026.pem", pem("b", private=True))
    write(keys / "c.jwk", mint.key("ES256", "c").jwk(kid="named"))
    write(keys / "e.jwk", mint.key("ES256", "e").jwk())
    write(keys / "d.json", mint.jwks(mint.key("ES256", "d").jwk(kid="d1"), mint.key("ES256").jwk()))
    thumbprint = mint.key("ES256").thumbprint()
    expected = sorted(["a", "b.2026", "named", "d1", "e", thumbprint])
    assert loaded(settings(tmp_path)) == (expected, [])
    files = KeyFiles(settings(tmp_path))
    files.look()
    assert kids(files) == expected
    assert len(files.keys.set.by_id) == 11


def test_hidden_files_and_those_that_editors_leave_are_passed_over(tmp_path, keys):
    for name in (".www.pem.swp", ".hidden", "www.pem~", "#www~"):
        write(keys / name, b"no key")
    write(keys / "www.pem", pem("www"))
    assert loaded(settings(tmp_path)) == (["www"], [])


def test_files_and_folders_may_be_named_side_by_side(tmp_path, keys):
    write(keys / "a.pem", pem("a"))
    write(tmp_path / "b.pem", pem("b"))
    assert loaded(settings(tmp_path, keys=["keys", "b.pem"])) == (["a", "b"], [])


def test_a_file_that_is_named_may_have_any_name(tmp_path):
    write(tmp_path / ".b~", pem("b"))
    assert loaded(settings(tmp_path, keys=[".b~"])) == ([".b~"], [])


def test_an_empty_folder_has_no_keys_yet(tmp_path, keys, files, events):
    assert loaded(settings(tmp_path)) == ([], [])
    assert not files.look()
    assert said(events) == []


def test_a_link_is_what_it_leads_to(tmp_path, keys):
    write(tmp_path / "2026.pem", pem("a"))
    (keys / "www.pem").symlink_to(tmp_path / "2026.pem")
    assert loaded(settings(tmp_path)) == (["www"], [])


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_secrets_of_the_other_kinds_are_read(tmp_path, keys, kind):
    write(keys / "a.secret", SECRETS[0] + b"\n")
    write(keys / "b.jwk", mint.Key("HS256", secret=SECRETS[1]).jwk(kid="named"))
    write(keys / "c.jwk", mint.Key("HS256", secret=SECRETS[2]).jwk())
    write(keys / "d.jwks", mint.jwks(mint.Key("HS256", secret=SECRETS[3]).jwk()))
    files = KeyFiles(settings(tmp_path, kind))
    files.look()
    found = {key.kid: key.secret.reveal() for key in files.keys}
    make = mint.compact_key_id if kind == "compact" else mint.xcauth_key_id
    assert found == {
        "a": SECRETS[0], "named": SECRETS[1], "c": SECRETS[2], "d-1": SECRETS[3],
    }  # fmt: skip
    assert set(files.keys.by_key_id) == {make(secret) for secret in SECRETS[:4]}


def test_a_secret_is_never_known_by_its_thumbprint(tmp_path, keys):
    """Whoever reads the log could try words with it."""
    for number, name in enumerate(("a.secret", "b.jwk", "c.jwks")):
        jwk = mint.Key("HS256", secret=SECRETS[number]).jwk()
        contents = {"a.secret": SECRETS[number], "b.jwk": jwk, "c.jwks": mint.jwks(jwk)}
        write(keys / name, contents[name])
    names, wrong = loaded(settings(tmp_path, algorithms=["HS256"]))
    assert (names, wrong) == (["a", "b", "c-1"], [])


def test_a_file_whose_name_is_no_text_is_refused_and_said(keys, files, events):
    write(keys / "www.pem", pem("www"))
    os.rename(keys / "www.pem", os.fsencode(keys) + b"/\xff.pem")
    files.look()
    assert kids(files) == []
    assert "is no string of at most 256 printable characters" in said(events)[0]


def test_a_secret_file_holds_a_secret_whatever_it_looks_like(tmp_path):
    bare = settings(tmp_path, keys=None, secret_file="s", algorithms=["HS256"])
    write(tmp_path / "s", b"[" + SECRETS[0] + b"]\n")
    assert loaded(bare) == (["s"], [])
    for content in (b'{"kty": "oct", "k": "%b"}' % SECRETS[0], pem("a"), pem("a", private=True)):
        write(tmp_path / "s", content)
        names, (wrong,) = loaded(bare)
        assert names == []
        assert "no secret" in wrong or "has more than one line; a secret is one" in wrong


# --- what a configuration with a mistake is told --------------------------------------------------


@pytest.mark.parametrize(
    ("content", "mode", "wrong"),
    [
        (BROKEN, 0o600, "keys/www.pem is no PEM of a key that can be read"),
        (b"", 0o600, "keys/www.pem is neither PEM nor JSON"),
        (SECRETS[0], 0o600, "keys/www.pem is neither PEM nor JSON"),
        (b"\xef\xbb\xbf" + pem("www"), 0o600, "keys/www.pem begins with a byte order mark; "),
        (pem("www"), 0o646, "keys/www.pem is open to others to write; chmod go-w "),
        (pem("www"), 0o664, "keys/www.pem is open to others to write; chmod go-w "),
        (pem("www", private=True), 0o644, "keys/www.pem is open to others (mode 644); chmod 640 "),
        (b"x" * (1 << 20) + b"y", 0o600, "keys/www.pem is larger than 1 MiB"),
        (pem("www", "ES384"), 0o600, "keys/www.pem is for ES384, which `algorithms` does not name"),
        (mint.jwks(), 0o600, "keys/www.pem holds no key"),
        (mint.jwks({"kty": "AKP"}), 0o600, "keys/www.pem is a JWK of no type that is known"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_good_is_a_mistake(tmp_path, keys, content, mode, wrong):
    write(keys / "www.pem", content, mode)
    names, (found,) = loaded(settings(tmp_path))
    assert names == []
    assert found.removeprefix("key 1 of ").startswith(f"{tmp_path}/{wrong}")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o440, 0o400])
def test_what_is_secret_may_be_read_by_a_group(tmp_path, keys, mode):
    write(keys / "www.pem", pem("www", private=True), mode)
    assert loaded(settings(tmp_path)) == (["www"], [])


def test_a_public_key_may_be_read_by_everybody(tmp_path, keys):
    write(keys / "www.pem", pem("www"), 0o644)
    assert loaded(settings(tmp_path)) == (["www"], [])


def test_one_secret_in_a_jwks_makes_it_secret(tmp_path, keys):
    found = mint.jwks(mint.key("ES256", "a").jwk(), mint.key("ES256", "b").jwk(private=True))
    write(keys / "www.json", found, 0o644)
    names, (wrong,) = loaded(settings(tmp_path))
    assert names == []
    assert "is open to others (mode 644)" in wrong


def test_a_file_of_a_mebioctet_is_still_read(tmp_path, keys):
    write(keys / "www.pem", pem("www") + b"\n" * ((1 << 20) - len(pem("www"))))
    assert loaded(settings(tmp_path)) == (["www"], [])


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_folder_that_others_may_write_to_is_a_mistake(tmp_path, keys, mode):
    """Anybody may put a key into it."""
    write(keys / "www.pem", pem("www"))
    keys.chmod(mode)
    names, (wrong,) = loaded(settings(tmp_path))
    assert names == []
    assert wrong == f"{keys} is open to others to write; chmod go-w {keys}"


def test_what_is_not_there_is_a_mistake(tmp_path):
    names, wrong = loaded(settings(tmp_path, keys=["a", "b/c"]))
    assert names == []
    assert wrong == [f"{tmp_path}/{path}: No such file or directory" for path in ("a", "b/c")]


def test_every_path_has_its_mistake_and_the_others_are_read(tmp_path, keys):
    write(keys / "www.pem", BROKEN)
    write(tmp_path / "b.pem", pem("b"))
    issuer = settings(tmp_path, keys=["keys", "nowhere", "b.pem"])
    names, wrong = loaded(issuer)
    assert names == ["b"]
    assert len(wrong) == 2


def test_every_bad_file_of_a_folder_is_a_mistake(tmp_path, keys):
    write(keys / "a.pem", BROKEN)
    write(keys / "b.pem", b"")
    write(keys / "c.pem", pem("c"))
    write(keys / "d.pem", pem("d"), 0o666)
    (keys / "e.pem").symlink_to("e.pem")
    names, wrong = loaded(settings(tmp_path))
    assert names == ["c"]
    assert [words.removeprefix(f"{keys}/")[:5] for words in wrong] == [
        "a.pem", "b.pem", "d.pem", "e.pem",
    ]  # fmt: skip


def test_keys_that_contradict_each_other_are_a_mistake(tmp_path):
    write(tmp_path / "www.pem", pem("a"))
    (tmp_path / "old").mkdir()
    write(tmp_path / "old" / "www.pem", pem("b"))
    names, (wrong,) = loaded(settings(tmp_path, keys=["www.pem", "old"]))
    assert names == ["www"]
    assert wrong.endswith("have one kid, 'www'")


def test_a_hundred_files_are_plenty(tmp_path, keys):
    for number in range(key_files.MOST_FILES + 1):
        (keys / f"{number}.pem").touch(0o600)
    names, (wrong,) = loaded(settings(tmp_path))
    assert names == []
    assert wrong == f"{keys} has 101 files; 100 keys are plenty"


def test_a_folder_in_a_folder_is_no_key(tmp_path, keys, files, events):
    (keys / "old.pem").mkdir()
    write(keys / "www.pem", pem("www"))
    assert loaded(settings(tmp_path)) == (["www"], [f"{keys}/old.pem is not a file"])
    assert files.look()
    assert not files.look()
    assert kids(files) == ["www"]
    assert len(said(events)) == 1
    assert f"{keys}/old.pem is not a file" in said(events)[0]


@pytest.mark.parametrize("name", ["keys", "keys/www.pem"])
def test_a_named_pipe_is_not_waited_for(tmp_path, keys, events, name):
    """Nobody could log in before somebody writes to it."""
    os.mkfifo(keys / "www.pem", 0o600)
    write(keys / "other.pem", pem("other"))

    class Waits(Exception):
        pass

    def ring(*_):
        raise Waits

    issuer = settings(tmp_path, keys=[name])
    files = KeyFiles(issuer)
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 60)  # nobody writes to it ever
    try:
        files.look()
        names, wrong = loaded(issuer)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert kids(files) == names == (["other"] if name == "keys" else [])
    assert wrong == [f"{keys}/www.pem is not a file"]
    assert [line.partition("; ")[0] for line in said(events)] == [f"issuer {NAME}: {wrong[0]}"]


def test_a_folder_that_is_called_like_a_key_costs_nothing(keys, files):
    """It is tried again at each look."""
    (keys / "old.pem").mkdir()
    files.look()
    gc.collect()  # what other tests have left open is closed now, and not while this counts
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(5):
        files.look()
    assert set(os.listdir("/proc/self/fd")) <= before


# --- what is passed over --------------------------------------------------------------------------


def test_of_a_folder_files_that_are_called_like_keys_are_read(tmp_path, keys):
    for name in ("a.pem", "b.jwk", "c.jwks", "d.json", "e.secret"):
        write(keys / name, pem(name))
    assert loaded(settings(tmp_path)) == (["a", "b", "c", "d", "e"], [])


PASSED_OVER = [
    "www", "www.key", "www.pub", "www.txt", "www.pem.bak", "www.PEM", "www.pem.2026", "README",
    "www.pem,v", "authorized_keys", "www.pem ",
]  # fmt: skip


@pytest.mark.parametrize("name", PASSED_OVER)
def test_other_files_are_passed_over_and_said_once(tmp_path, keys, files, events, name):
    """A note or a backup must not become a key."""
    write(keys / "www.pem", pem("www"))
    write(keys / name, pem("other"))
    assert loaded(settings(tmp_path)) == (["www"], [])
    for _ in range(3):
        files.look()
    assert kids(files) == ["www"]
    assert said(events, LogLevel.warn) == [
        f"issuer {NAME}: {keys}: passed over, for its ending: {name}"
    ]
    (keys / name).unlink()
    assert not files.look()
    write(keys / name, pem("other"))
    assert not files.look()
    assert len(said(events, LogLevel.warn)) == 2
    assert said(events, LogLevel.info) == [f"issuer {NAME}: keys in force: www"]


def test_several_of_them_are_said_in_one_line_in_printable_words(keys, files, events):
    for name in ("b", "a\x1b[2J", "c.txt", ".hidden", "d.pem~"):
        write(keys / name, b"")
    (keys / "old").mkdir()
    files.look()
    (line,) = said(events, LogLevel.warn)
    assert line.isprintable()
    assert line.endswith("b, c.txt, old")
    write(keys / "e", b"")
    files.look()
    assert said(events, LogLevel.warn)[1].endswith("b, c.txt, e, old")


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_a_note_beside_secrets_is_none(tmp_path, keys, kind):
    write(keys / "website.secret", SECRETS[0])
    write(
        keys / "README", b"These are the secrets of the website; ask Alice before you change one."
    )
    assert loaded(settings(tmp_path, kind)) == (["website"], [])


# --- rotation -------------------------------------------------------------------------------------


def test_keys_overlap_and_the_old_one_is_retired_with_its_file(keys, files, events):
    write(keys / "2026.pem", pem("2026"))
    files.look()
    write(keys / "2027.pem", pem("2027"))
    assert files.look()
    assert kids(files) == ["2026", "2027"]
    (keys / "2026.pem").unlink()
    assert files.look()
    assert kids(files) == ["2027"]
    assert said(events) == []
    assert said(events, LogLevel.info) == [
        f"issuer {NAME}: keys in force: 2026",
        f"issuer {NAME}: keys in force: 2026, 2027",
        f"issuer {NAME}: {keys}/2026.pem is gone",
        f"issuer {NAME}: keys in force: 2027",
    ]


def test_the_last_key_may_be_retired(keys, files, events):
    write(keys / "www.pem", pem("www"))
    files.look()
    (keys / "www.pem").unlink()
    assert files.look()
    assert kids(files) == []
    assert said(events, LogLevel.info)[-1] == f"issuer {NAME}: keys in force: none"


def test_a_file_with_another_key_takes_the_place_of_the_old_one(keys, files):
    write(keys / "www.pem", pem("a"))
    files.look()
    write(keys / "www.pem", pem("b"))
    assert files.look()
    assert files.keys.set.by_id["www"].thumbprint == mint.key("ES256", "b").thumbprint()
    assert len(files.keys) == 1


def test_two_files_may_change_their_names(keys, files, events):
    write(keys / "a.pem", pem("a"))
    write(keys / "b.pem", pem("b"))
    files.look()
    (keys / "a.pem").rename(keys / "c.pem")
    (keys / "b.pem").rename(keys / "a.pem")
    assert files.look()
    found = {kid: files.keys.set.by_id[kid].thumbprint for kid in kids(files)}
    assert found == {
        "a": mint.key("ES256", "b").thumbprint(), "c": mint.key("ES256", "a").thumbprint(),
    }  # fmt: skip
    assert said(events) == []


def test_a_file_that_was_written_in_place_is_read_again(keys, files):
    write(keys / "www.pem", pem("a"))
    files.look()
    (keys / "www.pem").write_bytes(pem("b"))
    later(keys / "www.pem")
    assert files.look()
    assert files.keys.set.by_id["www"].thumbprint == mint.key("ES256", "b").thumbprint()


def test_both_halves_of_a_pair_in_one_folder_are_one_key(keys, files, events):
    write(keys / "www.pem", pem("www", private=True))
    write(keys / "www.jwk", mint.key("ES256", "www").jwk(), 0o644)
    files.look()
    assert kids(files) == ["www"]
    (key,) = files.keys
    assert key.signs
    assert said(events) == []


# --- what is wrong later --------------------------------------------------------------------------


def test_a_file_that_has_become_nonsense_keeps_its_keys_and_is_said_once(keys, files, events):
    write(keys / "www.pem", pem("www"))
    files.look()
    write(keys / "www.pem", BROKEN)
    for _ in range(3):
        files.look()
        assert kids(files) == ["www"]
    assert said(events) == [
        f"issuer {NAME}: {keys}/www.pem is no PEM of a key that can be read; the keys that it had "
        "before stay in force"
    ]


def test_a_file_that_is_still_nonsense_is_not_said_to_be_well(keys, files, events):
    write(keys / "www.pem", pem("www"))
    files.look()
    write(keys / "www.pem", BROKEN)
    for _ in range(3):
        files.look()
    write(keys / "www.pem", BROKEN + BROKEN)
    for _ in range(3):
        files.look()
    assert len(said(events)) == 2
    assert not any("is well again" in line for line in said(events, LogLevel.info))


def test_a_file_that_was_mended_is_said_to_be_well_again_and_is_used(keys, files, events):
    write(keys / "www.pem", pem("a"))
    files.look()
    write(keys / "www.pem", BROKEN)
    files.look()
    write(keys / "www.pem", pem("b"))
    assert files.look()
    assert files.keys.set.by_id["www"].thumbprint == mint.key("ES256", "b").thumbprint()
    assert said(events, LogLevel.info)[-1] == f"issuer {NAME}: {keys}/www.pem is well again"


NONSENSE = {
    "a note": b"Ask Alice for the new key.\n", "nothing": b"", "blanks": b" \n",
    "a mark": b"\xef\xbb\xbf" + pem("www"), "UTF-16": pem("www").decode().encode("utf-16"),
    "SSH": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDlT0rE1sXlvyNsMXVdgXQqK alice@example.org\n",
    "JSON": b'{"kty": "EC"}', "a list": b"[]", "a web page": b"<!doctype html><title>404</title>",
    "a cut PEM": pem("www")[:-30], "two keys": pem("www") * 2, "octets": bytes(range(256)),
    "a JWKS of nothing": b'{"keys": []}', "a key for something else": pem("www", "EdDSA"),
    "2 MB": b"x" * 2_000_000, "a secret": SECRETS[0],
}  # fmt: skip


@pytest.mark.parametrize("what", NONSENSE)
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_nonsense_of_any_kind_in_place_of_a_public_key_keeps_it(keys, files, events, what, mode):
    """None of it is a secret that others may read: there are none at this issuer."""
    write(keys / "www.pem", pem("www"))
    write(keys / "other.pem", pem("other"))
    files.look()
    write(keys / "www.pem", NONSENSE[what], mode)
    write(keys / "README.pem", b"These are our public keys.", mode)
    assert not files.look()
    assert kids(files) == ["other", "www"]
    lines = said(events)
    assert len(lines) == 2
    assert any("README.pem is neither PEM nor JSON" in line for line in lines)
    assert all(line.endswith("the keys that it had before stay in force") for line in lines)


def test_a_file_that_is_deleted_while_it_is_bad_is_said_to_be_gone(keys, files, events):
    """And not to be well."""
    for name in ("nonsense", "open", "aside"):
        write(keys / f"{name}.pem", pem(name))
    files.look()
    write(keys / "nonsense.pem", BROKEN)
    (keys / "open.pem").chmod(0o666)
    write(keys / "aside.pem", mint.key("ES256").jwk(kid="nonsense"))
    files.look()
    assert kids(files) == ["aside", "nonsense"]
    assert len(said(events)) == 3
    del events[:]
    for name in ("nonsense", "open", "aside"):
        (keys / f"{name}.pem").unlink()
    assert files.look()
    assert not files.look()
    assert said(events, LogLevel.info) == [
        *(f"issuer {NAME}: {keys}/{name}.pem is gone" for name in ("aside", "nonsense", "open")),
        f"issuer {NAME}: keys in force: none",
    ]


class Unforeseen(Exception):
    pass


def test_a_fault_in_reading_one_file_keeps_the_others_changes(keys, files, events, monkeypatch):
    def faulty(content, settings, source):
        if "faulty" in source:
            raise Unforeseen("wonderland")
        return usual(content, settings, source)

    for name in ("a", "faulty", "z"):
        write(keys / f"{name}.pem", pem(name))
    files.look()
    usual = key_files.bind
    monkeypatch.setattr(key_files, "bind", faulty)
    for name in ("a", "faulty", "z"):
        write(keys / f"{name}.pem", pem(f"new {name}"))
    write(keys / "b.pem", pem("b"))
    assert files.look()
    assert not files.look()
    owners = {"a": "new a", "b": "b", "faulty": "faulty", "z": "new z"}
    assert {key.kid: key.thumbprint for key in files.keys} == {
        kid: mint.key("ES256", owner).thumbprint() for kid, owner in owners.items()
    }
    failure, trouble = [event for event in events if event["log_level"] >= LogLevel.error]
    assert failure["log_failure"].type is Unforeseen
    assert formatEvent(trouble) == (
        f"issuer {NAME}: {keys}/faulty.pem cannot be read; the keys that it had before stay in "
        "force"
    )
    monkeypatch.undo()
    write(keys / "faulty.pem", pem("new faulty"))
    assert files.look()
    assert files.keys.set.by_id["faulty"].thumbprint == mint.key("ES256", "new faulty").thumbprint()


def test_a_new_file_that_is_nonsense_takes_nothing_from_the_others(keys, files, events):
    write(keys / "www.pem", pem("www"))
    files.look()
    write(keys / "new.pem", BROKEN)
    files.look()
    assert kids(files) == ["www"]
    assert len(said(events)) == 1


@pytest.mark.parametrize(
    ("content", "mode"),
    [(pem("www"), 0o646), (pem("www"), 0o664), (pem("www", private=True), 0o644)],
)
def test_a_file_that_is_open_to_others_loses_its_keys_at_once(keys, files, events, content, mode):
    """Anybody may have put a key into it, or have read it."""
    write(keys / "www.pem", content)
    write(keys / "other.pem", pem("other"))
    files.look()
    (keys / "www.pem").chmod(mode)
    assert files.look()
    assert kids(files) == ["other"]
    assert not files.look()
    (line,) = said(events)
    assert "is open to others" in line
    assert line.endswith("; its keys are not used")
    (keys / "www.pem").chmod(0o600)
    assert files.look()
    assert kids(files) == ["other", "www"]


def test_a_folder_that_is_opened_to_others_loses_its_keys_at_once(keys, files, events):
    write(keys / "www.pem", pem("www"))
    files.look()
    keys.chmod(0o777)
    assert files.look()
    assert kids(files) == []
    files.look()
    words = f"{keys} is open to others to write; chmod go-w {keys}; its keys are not used"
    assert said(events) == [f"issuer {NAME}: {words}"]
    keys.chmod(0o755)
    assert files.look()
    assert kids(files) == ["www"]


@pytest.mark.parametrize("what", ["keys", "www.pem"])
def test_what_is_named_and_gone_is_retired_and_said_once(tmp_path, keys, events, what):
    write(keys / "a.pem", pem("a"))
    write(tmp_path / "www.pem", pem("b"))
    files = KeyFiles(settings(tmp_path, keys=[what]))
    files.look()
    assert len(files.keys) == 1
    (tmp_path / what).rename(tmp_path / "elsewhere")
    assert files.look()
    assert kids(files) == []
    assert not files.look()
    assert said(events) == [f"issuer {NAME}: {tmp_path / what} is gone, and its keys with it"]
    (tmp_path / "elsewhere").rename(tmp_path / what)
    assert files.look()
    assert len(files.keys) == 1


def broken_link(path):
    """Make what is there a link to itself: to look at it is an error of the system's."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.name)


def test_a_folder_that_cannot_be_looked_at_keeps_its_keys(keys, files, events):
    """As while a file system is away."""
    write(keys / "www.pem", pem("www"))
    files.look()
    broken_link(keys)
    for _ in range(2):
        assert not files.look()
        assert kids(files) == ["www"]
    lines = said(events)
    assert lines[0] == (
        f"issuer {NAME}: {keys}: Too many levels of symbolic links; the keys that it had "
        "before stay in force"
    )
    assert len(lines) == 2
    keys.unlink()
    keys.with_name("elsewhere").rename(keys)
    files.look()
    assert kids(files) == ["www"]
    assert f"issuer {NAME}: {keys}/www.pem is well again" in said(events, LogLevel.info)


def test_a_folder_that_can_be_looked_at_again_is_said_to_be_well(keys, files, events):
    files.look()
    broken_link(keys)
    files.look()
    keys.unlink()
    keys.with_name("elsewhere").rename(keys)
    files.look()
    assert said(events, LogLevel.info) == [f"issuer {NAME}: {keys} is well again"]


def test_a_file_of_a_folder_that_cannot_be_looked_at_keeps_its_keys(keys, files, events):
    write(keys / "www.pem", pem("www"))
    files.look()
    (keys / "www.pem").unlink()
    (keys / "www.pem").symlink_to("www.pem")
    for _ in range(3):
        assert not files.look()
        assert kids(files) == ["www"]
    assert said(events) == [
        f"issuer {NAME}: {keys}/www.pem: Too many levels of symbolic links; the keys that it had "
        "before stay in force"
    ]


def test_a_file_that_is_named_and_cannot_be_looked_at_keeps_its_keys(tmp_path, events):
    write(tmp_path / "www.pem", pem("www"))
    files = KeyFiles(settings(tmp_path, keys=["www.pem"]))
    files.look()
    broken_link(tmp_path / "www.pem")
    for _ in range(3):
        assert not files.look()
        assert kids(files) == ["www"]
    (line,) = said(events)
    assert line.endswith("the keys that it had before stay in force")
    (tmp_path / "www.pem").unlink()
    write(tmp_path / "www.pem", pem("new"))
    assert files.look()
    assert files.keys.set.by_id["www"].thumbprint == mint.key("ES256", "new").thumbprint()
    assert f"issuer {NAME}: {tmp_path}/www.pem is well again" in said(events, LogLevel.info)


def test_a_folder_with_too_many_files_keeps_the_keys_that_it_had(keys, files, events):
    """Whatever has filled it, nobody is to be locked out for it."""
    write(keys / "www.pem", pem("www"))
    files.look()
    for number in range(key_files.MOST_FILES):
        (keys / f"{number}.pem").touch(0o600)
    files.look()
    assert kids(files) == ["www"]
    assert not any("is gone" in line for line in said(events, LogLevel.info))


def test_files_of_a_folder_that_others_may_write_to_are_not_said_to_be_gone(keys, files, events):
    write(keys / "www.pem", pem("www"))
    files.look()
    keys.chmod(0o777)
    files.look()
    assert not any("is gone" in line for line in said(events, LogLevel.info))


def test_a_file_that_is_gone_between_two_glances_is_retired(keys, files, monkeypatch):
    """It is listed, and then it is not there."""
    write(keys / "www.pem", pem("www"))
    files.look()
    listed = key_files.list_files(keys)
    (keys / "www.pem").unlink()
    monkeypatch.setattr(key_files, "list_files", lambda path: listed)
    assert files.look()
    assert kids(files) == []


# --- contradictions -------------------------------------------------------------------------------


def test_a_new_file_that_contradicts_an_old_one_is_left_aside(tmp_path, keys, events):
    write(keys / "b.pem", pem("b", "RS256"))
    files = KeyFiles(settings(tmp_path, algorithms=["RS256", "PS256"]))
    write(keys / "b.json", mint.key("RS256", "b").jwk(alg="RS256", kid="b"))
    (keys / "b.pem").unlink()
    files.look()
    write(keys / "a.json", mint.key("RS256", "b").jwk(alg="PS256", kid="a"))
    files.look()
    assert [(key.kid, key.algorithm) for key in files.keys] == [("b", "RS256")]
    (line,) = said(events)
    assert line.startswith(f"issuer {NAME}: {keys}/a.json and {keys}/b.json are one key, ")
    assert line.endswith("a key has one algorithm; this one is left aside")


def test_a_file_that_takes_anothers_kid_is_left_aside(keys, files, events):
    write(keys / "www.pem", pem("a"))
    files.look()
    write(keys / "www.jwk", mint.key("ES256", "b").jwk())
    for _ in range(3):
        assert not files.look()
    assert files.keys.set.by_id["www"].thumbprint == mint.key("ES256", "a").thumbprint()
    assert len(files.keys) == 1
    assert said(events) == [
        f"issuer {NAME}: {keys}/www.jwk and {keys}/www.pem have one kid, 'www'; this one is left "
        "aside"
    ]


def test_a_file_that_was_only_touched_keeps_its_place(keys, files):
    """A chmod, a chown or the same content again makes it no newer than the one left aside."""
    write(keys / "www.pem", pem("a"))
    files.look()
    write(keys / "www.jwk", mint.key("ES256", "b").jwk())
    files.look()
    later(keys / "www.pem")
    assert not files.look()
    assert files.keys.set.by_id["www"].thumbprint == mint.key("ES256", "a").thumbprint()


@pytest.mark.parametrize("mode", [0o666, 0o640], ids=["open to others", "not to be entered"])
def test_who_may_not_enter_the_folder_has_no_key_that_was_taken_out_of_it(tmp_path, files, mode):
    """Not even to see whether the file is there."""
    tmp_path.parent.parent.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    keys = tmp_path / "keys"
    for name in ("old", "new"):
        write(keys / f"{name}.pem", pem(name), 0o644)
    tmp_path.chmod(0o755)
    files.look()
    (keys / "old.pem").unlink()
    keys.chmod(mode)
    me = os.geteuid()
    if me == 0:  # who may enter whatever he likes
        os.chown(keys, 65534, 65534)
        os.seteuid(65534)
    try:
        assert files.look()
    finally:
        os.seteuid(me)
        keys.chmod(0o700)
    assert kids(files) == ([] if mode == 0o666 else ["new"])


def test_a_file_whose_new_key_contradicts_another_keeps_its_old_one(keys, files, events):
    write(keys / "a.json", mint.key("ES256", "a").jwk(kid="a"))
    write(keys / "b.json", mint.key("ES256", "b").jwk(kid="b"))
    files.look()
    write(keys / "b.json", mint.key("ES256", "c").jwk(kid="a"))
    files.look()
    assert kids(files) == ["a", "b"]
    assert files.keys.set.by_id["b"].thumbprint == mint.key("ES256", "b").thumbprint()
    (line,) = said(events)
    assert line.startswith(f"issuer {NAME}: {keys}/b.json and {keys}/a.json have one kid")
    write(keys / "b.json", mint.key("ES256", "b").jwk(kid="b"))
    files.look()
    assert kids(files) == ["a", "b"]
    assert f"issuer {NAME}: {keys}/b.json is well again" in said(events, LogLevel.info)


def test_of_two_files_that_swap_their_kids_badly_one_is_dropped(keys, files, events):
    """The old key of the second contradicts the new one of the first as well."""
    write(keys / "a.json", mint.key("ES256", "a").jwk(kid="a"))
    write(keys / "b.json", mint.key("ES256", "b").jwk(kid="b"))
    files.look()
    write(keys / "a.json", mint.key("ES256", "c").jwk(kid="b"))
    write(keys / "b.json", mint.key("ES256", "d").jwk(kid="b"))
    files.look()
    assert kids(files) == ["b"]
    assert files.keys.set.by_id["b"].thumbprint == mint.key("ES256", "c").thumbprint()
    assert len(said(events)) == 1


def test_a_file_that_was_left_aside_is_used_when_its_rival_is_gone(keys, files, events):
    """Whoever removes the old file has waited for the new one."""
    write(keys / "www.pem", pem("a"))
    files.look()
    write(keys / "www.jwk", mint.key("ES256", "b").jwk())
    files.look()
    (keys / "www.pem").unlink()
    assert files.look()
    assert files.keys.set.by_id["www"].thumbprint == mint.key("ES256", "b").thumbprint()
    assert said(events, LogLevel.info)[-1] == f"issuer {NAME}: {keys}/www.jwk is well again"


def test_a_file_that_was_left_aside_is_used_when_its_rival_has_another_name(keys, files):
    write(keys / "a.json", mint.key("ES256", "a").jwk(kid="a"))
    files.look()
    write(keys / "b.json", mint.key("ES256", "b").jwk(kid="a"))
    files.look()
    write(keys / "a.json", mint.key("ES256", "a").jwk(kid="c"))
    assert files.look()
    assert {kid: files.keys.set.by_id[kid].thumbprint for kid in kids(files)} == {
        "a": mint.key("ES256", "b").thumbprint(), "c": mint.key("ES256", "a").thumbprint(),
    }  # fmt: skip
