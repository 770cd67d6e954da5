"""The settings of who is asked over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock

from authbridge.outbound.web_server import Unreached, WebServer
from authbridge.outbound.web_settings import WebSettings
from authbridge.settings import Mistakes, Table
from tests.ldap.certificates import OURS


def read(folder, urls=("url",), **given):
    mistakes = Mistakes()
    table = Table(given, "checkers.c", mistakes, folder)
    web = WebSettings.read(table, 3.0)
    web.check(table, *[web.read_url(table, url) for url in urls])
    table.close()
    return web, list(mistakes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_bytes(OURS.pem)
    return tmp_path


def test_there_are_defaults(folder):
    assert read(folder, url="https://www.example.org/") == (WebSettings(False, None, 3.0), [])


def test_everything_may_be_given(folder):
    web, mistakes = read(
        folder, urls=("one", "two"), one="https://www.example.org/", two="http://www.example.org/",
        ca_file="ca.pem", timeout="500ms", insecure_clear_text=True,
    )  # fmt: skip
    assert (web, mistakes) == (WebSettings(True, folder / "ca.pem", 0.5), [])


def test_without_tls_only_this_machine_is_called_unless_it_is_allowed(folder):
    assert read(folder, url="http://127.0.0.1:8000/")[1] == []
    (mistake,) = read(folder, url="http://www.example.org/")[1]
    assert mistake.startswith("checkers.c.url: it should begin with https://")
    assert mistake.endswith("; insecure_clear_text = true allows it")
    assert read(folder, url="http://www.example.org/", insecure_clear_text=True)[1] == []


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"url": "gopher://www.example.org/"}, "url: it should begin with https://"),
        ({"url": 7}, "url: should be a string"),
        ({"url": "https://u:p@www.example.org/"}, "url: a name and a password have no place"),
        ({"url": "https://www.example.org/", "insecure_clear_text": True},
         "insecure_clear_text: is for http:// URLs, and this one is https://"),
        ({"url": "http://127.0.0.1/", "ca_file": "ca.pem"},
         "ca_file: is about TLS, which https:// has and http:// not"),
        ({"url": "https://www.example.org/", "ca_file": "gone.pem"}, "ca_file: "),
        ({"url": "https://www.example.org/", "timeout": "31s"}, "timeout: should be between"),
    ],
)  # fmt: skip
def test_each_mistake_is_said_once(folder, given, mistake):
    (said,) = read(folder, **given)[1]
    assert said.startswith(f"checkers.c.{mistake}")


def test_of_several_urls_one_is_enough_for_a_setting_to_mean_something(folder):
    one = {"one": "https://a.example.org/", "two": "http://127.0.0.1/", "ca_file": "ca.pem"}
    assert read(folder, urls=("one", "two"), **one)[1] == []
    both = {"one": "https://a.example.org/", "two": "https://b.example.org/"}
    (said,) = read(folder, urls=("one", "two"), **both, insecure_clear_text=True)[1]
    assert said.endswith("is for http:// URLs, and these are https://")


def test_a_server_is_made_with_tls_and_without(folder):
    reactor = MemoryReactorClock()
    web = WebSettings(False, None, 3.0)
    for url in ("https://www.example.org/", "http://127.0.0.1/"):
        assert isinstance(web.connect(url, reactor, most_octets=1000, at_once=2), WebServer)
    web = WebSettings(False, folder / "ca.pem", 3.0)
    made = web.connect("https://www.example.org/", reactor, most_octets=1000, at_once=2)
    assert isinstance(made, WebServer)


def test_authorities_that_cannot_be_read_any_more_are_named(folder):
    web = WebSettings(False, folder / "ca.pem", 3.0)
    for end, words in (
        (lambda path: path.write_text("nothing"), "is no file of certificates in PEM any more"),
        (lambda path: path.unlink(), "No such file or directory"),
    ):
        end(folder / "ca.pem")
        with pytest.raises(Unreached, match=words):
            web.connect("https://www.example.org/", None, most_octets=1000, at_once=2)
