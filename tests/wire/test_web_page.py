"""Whose page may ask, by what its browser says of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authbridge.wire.web_page import Foreign, read_origin

OURS = b"https://www.example.org"
OTHER = b"https://www.example.org:8443"
ORIGINS = frozenset({OURS, OTHER})


HOSTS = frozenset({"www.example.org", "shop.example.org", "192.0.2.7", "2001:db8::7"})


def ask(origin=(), site=(), mode=(), destination=(), origins=ORIGINS, referer=()):
    """The origin of a page whose browser sends these values; "foreign" where it may not ask."""
    fields = {
        b"origin": origin,
        b"sec-fetch-site": site,
        b"sec-fetch-mode": mode,
        b"sec-fetch-dest": destination,
        b"referer": referer,
    }
    try:
        return read_origin(lambda name: fields.get(name, ()), origins, HOSTS)
    except Foreign:
        return "foreign"


def one(text):
    """The values of a field that is there once; of one that is not there, for None."""
    return () if text is None else (text,)


FOREIGN_ORIGINS = [
    b"https://evil.example",
    b"null",
    b"",
    b"*",
    b"http://www.example.org",
    b"https://www.example.org:443",
    b"https://www.example.org:8444",
    b"https://www.example.org/",
    b"https://www.example.org.evil.example",
    b"https://evilwww.example.org",
    b"https://example.org",
    b"https://sub.www.example.org",
    b"https://www.example.or",
    b"ttps://www.example.org",
    b"HTTPS://WWW.EXAMPLE.ORG",
    b"https://WWW.example.org",
    b"https://www.example.org\t",
    b" https://www.example.org",
    b"https://www.example.org https://www.example.org",
    b"https://www.example.org, https://www.example.org",
    b"www.example.org",
    "https://www.exаmple.org".encode(),
]
SITES = [None, b"same-origin", b"same-site", b"cross-site", b"none", b"", b"Same-Origin"]
MODES = [None, b"cors", b"same-origin", b"no-cors", b"navigate", b"websocket", b"", b"CORS"]
DESTINATIONS = [None, b"empty", b"script", b"image", b"document", b"iframe", b"", b"Empty"]
ASKED_FOR_TO_BE_READ = set(itertools.product([None, b"cors", b"same-origin"], [None, b"empty"]))


def may_be_read(mode, destination):
    """Whether it is a script that asks, by fetch or XHR, or a browser that does not say."""
    return (mode, destination) in ASKED_FOR_TO_BE_READ


REST = tuple(itertools.product(SITES, MODES, DESTINATIONS))
"""All else that can be said; some thousand combinations in one test, as each takes no time."""


def test_a_page_that_does_not_say_whose_it_is_is_ours_or_the_browser_is_old():
    for site, mode, destination in REST:
        expected = "foreign"
        if site in (None, b"same-origin") and may_be_read(mode, destination):
            expected = None
        said = (site, mode, destination)
        assert (said, ask((), *map(one, said))) == (said, expected)


@pytest.mark.parametrize("origin", [OURS, OTHER])
def test_a_page_of_a_listed_origin_may_ask_from_anywhere_and_by_a_script_alone(origin):
    for site, mode, destination in REST:
        expected = origin if may_be_read(mode, destination) else "foreign"
        said = (origin, site, mode, destination)
        assert (said, ask(*map(one, said))) == (said, expected)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_page_of_any_other_origin_may_not_ask_whatever_else_is_said(origin):
    for rest in REST:
        said = (origin, *rest)
        assert (said, ask(*map(one, said))) == (said, "foreign")


@pytest.mark.parametrize("origin", [OURS, b"null", b"https://evil.example"])
def test_without_origins_a_page_that_names_one_is_foreign(origin):
    assert ask(one(origin), one(b"same-origin"), origins=frozenset()) == "foreign"
    assert ask((), one(b"same-origin"), origins=frozenset()) is None


@pytest.mark.parametrize("values", [(OURS, OURS), (OURS, OTHER), (b"", OURS), (OURS, b"null")])
def test_two_origins_are_none(values):
    assert ask(values) == "foreign"
    assert ask(values, one(b"same-origin"), one(b"cors"), one(b"empty")) == "foreign"


@pytest.mark.parametrize("origin", [(), (OURS,)])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("site", (b"same-origin", b"same-origin")),
        ("site", (b"same-origin", b"cross-site")),
        ("mode", (b"cors", b"cors")),
        ("mode", (b"cors", b"navigate")),
        ("mode", (b"no-cors", b"cors")),
        ("destination", (b"empty", b"empty")),
        ("destination", (b"empty", b"script")),
    ],
)
def test_what_is_said_twice_is_not_believed(origin, name, values):
    assert ask(origin, **{name: values}) == "foreign"


OWN_PAGES = [
    b"https://www.example.org/chat",
    b"https://www.example.org/",
    b"https://www.example.org",
    b"http://www.example.org/a?b=c#d",
    b"http://www.example.org?b=c",
    b"https://www.example.org:8443/chat",
    b"https://WWW.Example.ORG/",
    b"https://shop.example.org/a@b:c\\d",
    b"http://192.0.2.7:8080/",
    b"https://[2001:db8::7]:8443/",
]
FOREIGN_PAGES = [
    b"https://evil.example/",
    b"https://www.example.org.evil.example/",
    b"https://evil.example/https://www.example.org/",
    b"https://evil.example?https://www.example.org/",
    b"https://evil.example#www.example.org",
    b"https://example.org/",
    b"https://sub.www.example.org/",
    b"https://alice@www.example.org/",
    b"https://alice:wonderland@www.example.org/",
    b"https://www.example.org@evil.example/",
    b"https://www.example.org:443@evil.example/",
    b"https://evil.example\\@www.example.org/",
    b"https://www.example.org\\@evil.example/",
    b"https://www.example.org\\.evil.example/",
    b"https://www.example.org:99999/",
    b"https://www.example.org:x/",
    b"https:///www.example.org/",
    b"https://",
    b"https:www.example.org/",
    b"//www.example.org/",
    b"/chat",
    b"www.example.org",
    b"ftp://www.example.org/",
    b"file://www.example.org/",
    b"about:blank",
    b"null",
    b"",
    b" ",
    b" https://www.example.org/",
    b"https://www.example.org /",
    b"https://www.example.org, https://www.example.org/",
    "https://www.exаmple.org/".encode(),
]


@pytest.mark.parametrize("page", OWN_PAGES)
def test_an_old_browser_says_by_the_referer_which_page_of_ours_it_is(page):
    assert ask(referer=(page,)) is None
    assert ask(referer=(page,), mode=(b"cors",), destination=(b"empty",)) is None


@pytest.mark.parametrize("page", FOREIGN_PAGES)
def test_or_that_it_is_none_of_ours(page):
    assert ask(referer=(page,)) == "foreign"
    assert ask(referer=(page,), mode=(b"cors",), destination=(b"empty",)) == "foreign"


@pytest.mark.parametrize("other", [OWN_PAGES[0], OWN_PAGES[3], FOREIGN_PAGES[0], b""])
def test_two_referers_are_none(other):
    assert ask(referer=(OWN_PAGES[0], other)) == "foreign"
    assert ask(referer=(other, OWN_PAGES[0])) == "foreign"


@pytest.mark.parametrize("pages", [(page,) for page in FOREIGN_PAGES] + [tuple(OWN_PAGES[:2])])
def test_where_the_browser_says_more_than_that_the_referer_does_not_matter(pages):
    """A site may have it left out, or be called by other names than those of its hosts."""
    assert ask(site=(b"same-origin",), referer=pages) is None
    assert ask(origin=(OURS,), referer=pages) == OURS


@pytest.mark.parametrize("page", OWN_PAGES[:3])
@pytest.mark.parametrize("site", [b"same-site", b"cross-site", b"none", b""])
def test_and_a_referer_of_ours_does_not_make_good_what_the_browser_says(page, site):
    assert ask(site=(site,), referer=(page,)) == "foreign"
    assert ask(origin=(b"https://evil.example",), referer=(page,)) == "foreign"


@given(st.binary(max_size=60) | st.sampled_from([*OWN_PAGES, *FOREIGN_PAGES]))
def test_no_page_passes_but_one_of_the_hosts(page):
    if ask(referer=(page,)) is None:
        assert any(host.encode() in page.lower() for host in HOSTS)


VALUE = st.sampled_from(
    [
        OURS, OTHER, b"", b"null", b"same-origin", b"same-site", b"cross-site", b"none", b"cors",
        b"no-cors", b"navigate", b"empty", b"script", b"document", *FOREIGN_ORIGINS,
    ]
)  # fmt: skip
VALUES = st.lists(VALUE | st.binary(max_size=30), max_size=2).map(tuple)


@given(VALUES, VALUES, VALUES, VALUES)
@example((), (), (), ())
@example((), (b"same-origin",), (b"cors",), (b"empty",))
@example((OURS,), (b"cross-site",), (b"cors",), (b"empty",))
def test_nothing_but_what_is_allowed_passes(origin, site, mode, destination):
    found = ask(origin, site, mode, destination)
    read_by_a_script = mode in ((), (b"cors",), (b"same-origin",)) and destination in (
        (),
        (b"empty",),
    )
    own = origin == () and site in ((), (b"same-origin",))
    listed = origin in ((OURS,), (OTHER,)) and len(site) <= 1
    if read_by_a_script and own:
        assert found is None
    elif read_by_a_script and listed:
        assert found == origin[0]
    else:
        assert found == "foreign"
