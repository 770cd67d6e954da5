"""The address of a Redis."""

from __future__ import annotations

import pytest

from authbridge.secret import Secret
from authbridge.stores.redis_settings import RedisSettings, parse


@pytest.mark.parametrize(
    ("url", "settings", "shown"),
    [
        (
            "redis://localhost",
            RedisSettings("localhost", 6379, 0, False),
            "redis://localhost:6379/0",
        ),
        (
            "redis://r.example/",
            RedisSettings("r.example", 6379, 0, False),
            "redis://r.example:6379/0",
        ),
        (
            "rediss://R.example:7/12",
            RedisSettings("r.example", 7, 12, True),
            "rediss://r.example:7/12",
        ),
        ("redis://[::1]:7", RedisSettings("::1", 7, 0, False), "redis://[::1]:7/0"),
        (
            "redis://10.0.0.1/3",
            RedisSettings("10.0.0.1", 6379, 3, False),
            "redis://10.0.0.1:6379/3",
        ),
        (
            "redis://bücher.example",
            RedisSettings("xn--bcher-kva.example", 6379, 0, False),
            "redis://xn--bcher-kva.example:6379/0",
        ),
        ("redis://redis_1", RedisSettings("redis_1", 6379, 0, False), "redis://redis_1:6379/0"),
        ("redis://a%40b@h", RedisSettings("h", 6379, 0, False, "a@b"), "redis://a%40b@h:6379/0"),
    ],
)
def test_an_address_is_read_and_shown(url, settings, shown):
    assert parse(url) == settings
    assert str(parse(url)) == shown


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://h?db=1", "options"),
        ("redis://h/1#x", "options"),
        ("redis://h/one", "number of the database"),
        ("redis://h/1/2", "number of the database"),
        ("redis://h:0", "port"),
        ("redis://h:99999", "cannot be read"),
        ("redis://h:x", "cannot be read"),
        ("redis://[::1", "cannot be read"),
        ("redis://", "should be"),
        ("redis:///1", "no host"),
        ("redis://-h", "no host"),
        ("redis://h..x", "no host"),
        ("redis://a b", "no host"),
        ("http://h", "should be"),
        ("/var/lib/state", "should be"),
        ("redis+unix:///run/redis.sock", "not supported"),
        ("unix:///run/redis.sock", "not supported"),
    ],
)
def test_what_is_no_address_is_refused(url, words):
    with pytest.raises(ValueError, match=words):
        parse(url)


@pytest.mark.parametrize("url", ["redis://u:Geheim@h", "redis://:Geheim@h:1/2?x", "redis://u:@h"])
def test_a_password_is_refused(url):
    with pytest.raises(ValueError, match="state_password_file"):
        parse(url)


@pytest.mark.parametrize(
    "url", ["redis://u:Geheim@h:x", "redis://u:Geheim@h/x", "rdis://u:Geheim@h"]
)
def test_a_refusal_repeats_no_password(url):
    with pytest.raises(ValueError) as caught:
        parse(url)
    assert "Geheim" not in str(caught.value)


def test_settings_show_no_password():
    settings = RedisSettings("h", 1, 0, False, "u", Secret(b"Geheim"))
    assert "Geheim" not in f"{settings} {settings!r}"


@pytest.mark.parametrize(
    ("url", "clear_text"),
    [
        ("redis://localhost", False),
        ("redis://LOCALHOST", False),
        ("redis://127.0.0.1", False),
        ("redis://127.3.2.1:7/1", False),
        ("redis://[::1]", False),
        ("rediss://redis.example", False),
        ("rediss://10.0.0.1", False),
        ("redis://redis.example", True),
        ("redis://localhost.example", True),
        ("redis://redis", True),
        ("redis://10.0.0.1", True),
        ("redis://0.0.0.0", True),
        ("redis://127.1", True),
        ("redis://[fe80::1]", True),
        ("redis://[2001:db8::1]", True),
    ],
)
def test_what_goes_to_another_machine_without_tls_is_clear_text(url, clear_text):
    assert parse(url).clear_text is clear_text
