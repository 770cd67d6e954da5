"""Reading settings: every mistake, with its key."""

from __future__ import annotations

import pytest

from authbridge.settings import ConfigurationError, Mistakes, Table, did_you_mean, full_name


@pytest.fixture
def mistakes():
    return Mistakes()


@pytest.fixture
def table(mistakes, tmp_path):
    return lambda data: Table(data, "a.b", mistakes, tmp_path)


def test_values_are_read_and_defaults_taken(table, mistakes, tmp_path):
    read = table(
        {"t": "x", "b": True, "d": "90s", "l": ["a", "b"], "c": "two", "p": "f", "s": {"x": 1}}
    )
    assert read.text("t") == "x"
    assert read.text("other", "default") == "default"
    assert read.boolean("b", False) is True
    assert read.boolean("nb", True) is True
    assert read.duration("d", 1) == 90
    assert read.texts("l") == ("a", "b")
    assert read.texts("nl", ()) == ()
    assert read.choice("c", ["one", "two"], "one") == "two"
    assert read.path("p") == tmp_path / "f"
    assert "x" in read.table("s")
    assert "y" not in read.table("ns")
    read.close()
    mistakes.check()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("250ms", 0.25),
        ("90s", 90),
        ("1.5m", 90),
        ("12h", 43200),
        ("7d", 604800),
        (5, 5),
        (0.5, 0.5),
    ],
)
def test_durations_have_units(table, given, seconds):
    assert table({"d": given}).duration("d", 1) == seconds


@pytest.mark.parametrize(
    "given", ["", "90", "s", "-1s", "1 s", "0s", 0, -1, True, ["1s"], "99999d", float("nan")]
)
def test_what_is_no_duration_is_a_mistake(table, mistakes, given):
    table({"d": given}).duration("d", 1)
    assert list(mistakes) == ['a.b.d: should be a duration such as "90s" or "15m"']


@pytest.mark.parametrize("given", [0, 0.0, "0s", "0ms", "0d"])
def test_nothing_is_a_duration_where_the_setting_may_be_off(table, mistakes, given):
    assert table({"d": given}).duration("d", 10, zero=True) == 0
    mistakes.check()


@pytest.mark.parametrize("given", ["", "0", -1, False, "soon", None, float("nan")])
def test_what_is_no_duration_is_none_where_zero_is_one(table, mistakes, given):
    assert table({"d": given}).duration("d", 10, zero=True) == 10
    assert list(mistakes) == ['a.b.d: should be a duration such as "90s" or "15m"']


def test_a_duration_has_bounds(table, mistakes):
    read = table({"d": "1s", "e": 3, "f": 3.001, "g": 0.999})
    assert [read.duration(key, 2, least=1, most=3) for key in "de"] == [1, 3]
    mistakes.check()
    assert [read.duration(key, 2, least=1, most=3) for key in "fg"] == [2, 2]
    assert [line.partition(" ")[2] for line in mistakes] == [
        "should be between 1 and 3 seconds"
    ] * 2


@pytest.mark.parametrize("given", [1, 7, 100])
def test_a_number_is_a_whole_one_within_its_bounds(table, mistakes, given):
    assert table({"n": given}).number("n", 5, least=1, most=100) == given
    mistakes.check()


@pytest.mark.parametrize("given", [0, 101, -7, 1.0, "7", True, [7], 10**400])
def test_what_is_no_number_in_its_bounds_is_a_mistake(table, mistakes, given):
    assert table({"n": given}).number("n", 5, least=1, most=100) == 5
    assert list(mistakes) == ["a.b.n: should be a whole number between 1 and 100"]


def test_a_number_that_is_not_given_is_its_default(table, mistakes):
    read = table({})
    assert read.number("n", 5, least=1, most=100) == 5
    read.close()
    mistakes.check()


@pytest.mark.parametrize("given", [1, 100])
def test_a_number_may_be_left_out(table, mistakes, given):
    read = table({"n": given})
    assert read.optional_number("n", least=1, most=100) == given
    assert read.optional_number("m", least=1, most=100) is None
    read.close()
    mistakes.check()


@pytest.mark.parametrize("given", [0, 101, "7", True, 1.5])
def test_what_is_no_number_is_a_mistake_also_where_it_may_be_left_out(table, mistakes, given):
    table({"n": given}).optional_number("n", least=1, most=100)
    assert list(mistakes) == ["a.b.n: should be a whole number between 1 and 100"]


def test_a_setting_that_means_nothing_beside_others_is_one_mistake(table, mistakes):
    read = table({"base": "x"})
    for setting in ("base", "filter"):
        read.misplaced(setting, "belongs elsewhere")
    read.close()
    assert list(mistakes) == ["a.b.base: belongs elsewhere"]


@pytest.mark.parametrize(
    "read",
    [
        lambda t: t.text("k"),
        lambda t: t.boolean("k", True),
        lambda t: t.texts("k"),
        lambda t: t.table("k"),
    ],
)
@pytest.mark.parametrize("value", [17, "", [1], [""], ["a", "a"], 1.5])
def test_a_value_of_the_wrong_kind_is_a_mistake(table, mistakes, read, value):
    read(table({"k": value}))
    assert [line.startswith("a.b.k: should be ") for line in mistakes] == [True]


def test_a_missing_setting_is_a_mistake(table, mistakes):
    assert table({}).text("k") == ""
    assert list(mistakes) == ['a.b.k: is missing; a string, as in "…"']


def test_an_unknown_setting_is_named_with_the_nearest(table, mistakes):
    read = table({"deadlin": 1, "Xyz q": 2})
    read.duration("deadline", 1)
    read.close()
    assert list(mistakes) == [
        'a.b.deadlin: there is no such setting; did you mean "deadline"?',
        'a.b."Xyz q": there is no such setting; there is "deadline"',
    ]


def test_a_wrong_choice_is_named_with_the_nearest(table, mistakes):
    assert table({"k": "jsn"}).choice("k", ["json", "text"], "text") == "text"
    assert list(mistakes) == ['a.b.k: "jsn" is not known; did you mean "json"?']
    assert did_you_mean("x", []) == ""


@pytest.mark.parametrize(
    ("word", "known", "nearest"),
    [
        ("es256", ["ES256", "RS256", "HS256"], "ES256"),
        ("JWT", ["compact", "jwt", "xcauth"], "jwt"),
        ("eddsa", ["ES256", "EdDSA"], "EdDSA"),
        ("rS265", ["ES256", "RS256"], "RS256"),
    ],
)
def test_a_word_in_another_case_is_the_nearest(word, known, nearest):
    assert did_you_mean(word, known) == f'; did you mean "{nearest}"?'


def test_a_name_is_spelled_as_in_the_file():
    assert full_name("domains", "example.org", "check") == 'domains."example.org".check'
    assert full_name("checkers", "my-own_1", "accept") == "checkers.my-own_1.accept"


def test_a_list_that_must_not_be_empty_has_one_mistake(table, mistakes):
    read = table({"a": [], "b": 5, "d": ["x", "x"], "e": ["x"]})
    assert [read.some_texts(key, "names none") for key in "abcde"] == [(), (), (), (), ("x",)]
    said = [line.removeprefix("a.b.").partition(";")[0] for line in mistakes]
    different = 'should be a list of different strings: ["…", "…"]'
    assert said == ["a: names none", f"b: {different}", "c: is missing", f"d: {different}"]
    assert read.mistaken == {"a", "b", "c", "d"}


def test_what_is_no_table_is_one_mistake_whatever_should_be_in_it(table, mistakes):
    read = table({"one": 5, "many": {"x": 5, "y": {}}})
    read.table("one").text("missing")
    for named in read.named_tables("many").values():
        named.text("missing")
    assert list(mistakes) == [
        "a.b.one: should be a table: [a.b.one]",
        "a.b.many.x: should be a table: [a.b.many.x]",
        'a.b.many.y.missing: is missing; a string, as in "…"',
    ]


def test_a_duration_without_an_upper_bound_is_said_to_have_a_lower_one(table, mistakes):
    assert table({"d": "9s"}).duration("d", 900, least=10) == 900
    assert list(mistakes) == ["a.b.d: should be at least 10 seconds"]


def test_all_mistakes_come_at_once(mistakes):
    mistakes.add("a", "1")
    mistakes.add("", "2")
    with pytest.raises(ConfigurationError) as raised:
        mistakes.check()
    assert raised.value.mistakes == ("a: 1", "2")


def secret(tmp_path, content, mode):
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_a_secret_is_the_content_of_a_private_file(table, mistakes, tmp_path, mode):
    secret(tmp_path, b"wonderland\r\n", mode)
    read = table({"secret_file": "secret"}).secret_file("secret_file")
    mistakes.check()
    assert read.matches(b"wonderland")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o666])
def test_a_secret_that_others_may_read_or_change_is_refused(table, mistakes, tmp_path, mode):
    secret(tmp_path, b"wonderland", mode)
    table({"secret_file": "secret"}).secret_file("secret_file")
    (line,) = mistakes
    assert f"is open to others (mode {mode:o}); chmod 640" in line
    assert "wonderland" not in line


@pytest.mark.parametrize("content", [b"", b"\n", b" \n"])
def test_an_empty_secret_is_refused(table, mistakes, tmp_path, content):
    secret(tmp_path, content, 0o600)
    table({"secret_file": "secret"}).secret_file("secret_file")
    assert "is empty" in next(iter(mistakes))


def test_a_secret_that_cannot_be_read_is_one_mistake(table, mistakes, tmp_path, monkeypatch):
    """root may read everything."""
    path = secret(tmp_path, b"wonderland", 0o600)

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refused)
    table({"secret_file": "secret"}).secret_file("secret_file")
    assert list(mistakes) == [f"a.b.secret_file: {path}: Permission denied"]


def test_a_secret_that_is_not_there_is_one_mistake(table, mistakes, tmp_path):
    table({"secret_file": "nowhere"}).secret_file("secret_file")
    assert list(mistakes) == [f"a.b.secret_file: {tmp_path}/nowhere: No such file or directory"]
    (tmp_path / "x").mkdir()
    table({"secret_file": "x"}).secret_file("secret_file")
    assert "is not a file" in list(mistakes)[1]
    table({}).secret_file("secret_file")
    assert len(list(mistakes)) == 3
