"""examples/django, as `make demo` runs it, in a real browser with a real Prosody."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser as Chromium

from .browser import running_browser
from .django_site import EXAMPLE, PASSWORDS, PROGRAMS, Chat, DjangoSite, Visitor, begin
from .processes import is_running
from .waiting import wait_until

# For each of the pages that are Converse's.
WAYS = ("credentials", "prebind", "cookie")
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def site(workspace: Path) -> Iterator[DjangoSite]:
    """The one; running at the end as well."""
    started = DjangoSite(workspace / "django")
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """The browser of everybody."""
    with running_browser() as browser:
        yield browser


@pytest.fixture
def visit(chromium: Chromium, site: DjangoSite) -> Iterator[Visit]:
    """Makes visitors, whose pages have nothing to complain of in the end."""
    visitors: list[Visitor] = []

    def make(name: str, *, patient: bool = True) -> Visitor:
        visitors.append(Visitor(chromium, site, name, patient=patient))
        return visitors[-1]

    yield make
    # When a page is closed Converse looks for its connection, which is gone after a logout.
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        visitor.close()
    assert complaints == []


def test_tests_of_the_example_pass(tmp_path: Path) -> None:
    """They are run as its README says."""
    (tmp_path / "secret-key").write_text("of-the-tests\n")
    environment = {**os.environ, "SITE_FOLDER": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "manage.py", "test"]
    done = subprocess.run(
        command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Ran [1-9]\d+ tests ", done.stderr, re.MULTILINE)


def test_packages_are_locked_by_their_hashes_and_to_no_registry() -> None:
    text = (EXAMPLE / "package-lock.json").read_text()
    assert "resolved" not in text
    assert "http" not in text
    root, *packages = json.loads(text)["packages"].values()
    assert (
        root["dependencies"] == json.loads((EXAMPLE / "package.json").read_text())["dependencies"]
    )
    assert all(package["integrity"].startswith("sha512-") for package in packages)


def test_what_authbridge_asks_is_nobodys_else(site: DjangoSite) -> None:
    """nginx keeps it from the network, whether Django would answer or not."""
    for path in ("check-password", "user-exists", ""):
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{site.origin}/chat/{path}", b"{}", timeout=90)
        assert refused.value.code == 404
        assert b"<center>nginx" in refused.value.read()


def test_first_page_attaches_to_the_session_that_it_came_with(
    visit: Visit, site: DjangoSite
) -> None:
    alice = visit("alice")
    before = site.prebinds()
    chat = alice.open("/strophe/")
    assert re.fullmatch(r"alice@example\.org/.+", chat.connected())
    assert site.prebinds() == before + 1
    assert '"session": {"jid": "alice@example.org/' in alice.pages[-1]
    # The browser's address, from nginx through Django to the log of the login.
    (line,) = [
        line
        for line in site.log("authbridge").splitlines()
        if "reason=prebind_done" in line and " caller=django " in f"{line} "
    ][-1:]
    assert " address=127.0.0.1" in line
    chat.tab.picture("example-strophe")


def test_session_goes_on_from_page_to_page_without_a_login(visit: Visit, site: DjangoSite) -> None:
    chat = visit("alice").open("/strophe/")
    jid, first, logins = chat.connected(), chat.session(), site.prebinds()
    for link in ("Page 2", "Page 3"):
        chat.follow(link)
        assert chat.connected() == jid
        assert "goes on" in chat.page.inner_text("#how")
        assert chat.session()["sid"] == first["sid"]
    chat.reload()
    assert chat.connected() == jid
    chat.go_back()
    assert chat.connected() == jid
    assert chat.session()["rid"] > first["rid"]
    assert site.prebinds() == logins


def test_first_page_gives_its_session_back_where_the_tab_has_one(
    visit: Visit, site: DjangoSite
) -> None:
    chat = visit("alice").open("/strophe/2/")
    jid = chat.connected()
    with chat.page.expect_request(
        lambda request: 'type="terminate"' in (request.post_data or "")
    ) as ended:
        chat.follow("Page 1")
    assert chat.connected() == jid
    assert chat.session()["sid"] not in (ended.value.post_data or "")
    answer = ended.value.response()
    assert answer is not None
    assert "terminate" in answer.text()
    assert "condition" not in answer.text()


def test_two_tabs_have_a_session_each(visit: Visit) -> None:
    alice = visit("alice")
    first, second = alice.open("/strophe/"), alice.open("/strophe/2/")
    assert first.connected() != second.connected()
    first.send("bob", "said by the first")
    for tab, other in ((first, second), (second, first)):
        tab.send("alice", f"from {tab.page.url}")
        other.receives("alice", f"from {tab.page.url}")
    assert first.connected() != second.connected()


def test_copy_of_a_tab_has_a_session_of_its_own(visit: Visit) -> None:
    alice = visit("alice", patient=False)
    chat = alice.open("/strophe/")
    jid = chat.connected()
    # What is opened so begins with a copy of sessionStorage, as a tab that is duplicated.
    with alice.context.expect_page() as opened:
        chat.page.evaluate("() => { window.open('/strophe/2/'); }")
    copy = Chat(opened.value, chat.origin, alice)
    assert copy.connected() != jid
    copy.send("alice", "from the copy")
    chat.receives("alice", "from the copy")
    assert chat.connected() == jid


@pytest.mark.parametrize("change", ['{"sid": "gone"}', '{"rid": 5}'])
def test_session_that_the_server_does_not_know_any_more_is_replaced(
    visit: Visit, change: str
) -> None:
    chat = visit("alice").open("/strophe/")
    jid = chat.connected()
    chat.spoil(change)
    chat.follow("Page 2")
    assert chat.connected() != jid
    assert "new session" in chat.page.inner_text("#how")
    again = chat.connected()
    chat.follow("Page 3")
    assert chat.connected() == again


def test_two_people_chat(visit: Visit) -> None:
    alice, bob = visit("alice").open("/strophe/"), visit("bob").open("/strophe/2/")
    alice.connected(), bob.connected()
    alice.send("bob", "<b>Hello</b> & welcome")
    bob.receives("alice", "<b>Hello</b> & welcome")
    bob.send("alice@example.org", "Hello Alice")
    alice.receives("bob", "Hello Alice")
    alice.tab.picture("example-strophe-chat")


def test_who_logs_in_next_in_the_same_tab_has_a_session_of_his_own(
    visit: Visit, site: DjangoSite
) -> None:
    alice = visit("alice")
    chat = alice.open("/strophe/")
    chat.connected()
    alice.context.clear_cookies()  # as if the site had ended the session
    alice.name = "bob"
    alice.log_in(chat.page)
    assert chat.session()["jid"].startswith("alice@")
    chat.go("/strophe/2/")
    assert chat.connected().startswith("bob@example.org/")


def keeps_nothing(tab: Chat) -> bool:
    """Of a session, or of anybody's contacts."""
    return tab.session() == {} and "bob@" not in tab.tab.kept()


def test_logout_ends_the_chat_in_all_tabs_and_what_is_asked_then_is_refused(
    visit: Visit, site: DjangoSite
) -> None:
    alice = visit("alice")
    tabs = [alice.open(path) for path in ("/strophe/", "/strophe/2/", "/converse/credentials/")]
    for tab in tabs:
        tab.connected()
    tabs[-1].has_contacts()
    cookie = alice.cookie()
    first, *others = tabs
    assert others[0].asks("GET", "/chat/credentials") == 200
    first.log_out()
    for tab in others:
        assert tab.until("refused") == "You have logged out."
        # Where the server takes long to hear of it, a page says so a moment sooner.
        forgets = partial(keeps_nothing, tab)
        wait_until(forgets, "nothing is kept")
        assert not tab.page.get_by_text("Password").is_visible()
    others[1].tab.picture("example-logged-out")
    # With the one that was fetched and not used.
    revoked = r"operation=revoke_user verdict=accepted .*caller=django .*count=1\b"
    assert re.search(revoked, site.log("authbridge"))
    asked = (("GET", "/chat/credentials"), ("GET", "/chat/prebind"), ("POST", "/strophe/session"))
    assert [others[0].asks(*what) for what in asked] == [401, 401, 401]
    # The cookie that somebody has kept is nobody's; authbridge asks the site every 5 s.
    alice.context.add_cookies([{"name": "sessionid", "value": cookie, "url": site.origin}])
    assert others[0].asks(*asked[-1]) == 401
    for what in asked[:-1]:
        question = partial(others[0].asks_later, *what)
        wait_until(lambda: question() == 401, f"{what} is refused")  # noqa: B023 - called at once
    others[0].go("/strophe/")
    assert others[0].page.url.startswith(f"{site.origin}/login?")


@pytest.mark.parametrize("way", WAYS)
def test_converse_logs_in_by_itself_and_does_so_again(visit: Visit, way: str) -> None:
    alice = visit("alice")
    chat = alice.open(f"/converse/{way}/")
    for _ in range(2):
        assert chat.connected().startswith("alice@example.org/")
        chat.has_contacts()
        chat.tab.picture(f"example-converse-{way}")
        chat.page.reload()
    second = alice.open(f"/converse/{way}/")
    assert second.connected() != chat.connected()


def test_page_waits_for_a_chat_that_is_away(visit: Visit, site: DjangoSite) -> None:
    alice = visit("alice")
    with site.stopped("authbridge"):
        chat = alice.open("/strophe/")
        assert '"session": null' in alice.pages[-1]
        assert "not available at the moment. Trying again" in chat.until("waiting")
        chat.tab.picture("example-away")
    assert chat.connected().startswith("alice@example.org/")


def test_pages_storage_settings_and_logs_hold_no_password(visit: Visit, site: DjangoSite) -> None:
    alice = visit("alice")
    kept, triples = [], []
    for path in ("/strophe/", "/strophe/2/", *map("/converse/{}/".format, WAYS)):
        chat = alice.open(path)
        chat.connected()
        kept.append(chat.tab.kept())
        triples.append(chat.session().get("sid", ""))
    files = [path for path in EXAMPLE.rglob("*.py") if "node_modules" not in path.parts]
    assert EXAMPLE / "website" / "settings.py" in files
    sources = [path.read_text() for path in files]
    logs = {name: site.log(name) for name in PROGRAMS}
    secrets = [
        (site.folder / "clients" / name).read_text().strip() for name in ("django", "prosody")
    ]
    everything = [*alice.pages, *kept, *sources, *logs.values()]
    for text in everything:
        assert not [word for word in (*PASSWORDS.values(), *secrets) if word in text]
        # A temporary token.
        assert not re.search(r"abtt\d_\w{20}", text)
    # Who has a session's values has the session: Prosody itself logs one of them.
    del logs["prosody"]
    assert len(set(filter(None, triples))) >= 3
    for text in logs.values():
        assert not [sid for sid in filter(None, triples) if sid in text]
        assert alice.cookie() not in text


def test_demonstration_ends_where_one_of_its_programs_does(workspace: Path) -> None:
    site = DjangoSite(workspace / "ending")
    pids = [site.pid(program) for program in PROGRAMS]
    os.kill(site.pid("prosody"), 9)
    assert site.process.wait() == 1
    assert "prosody has ended" in site.said()
    wait_until(lambda: not any(map(is_running, pids)), "all have ended")


def test_demonstration_removes_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "letter").write_text("Dear Bob,\n")
    process = begin(folder, tmp_path / "demo.out")
    assert process.wait() == 1
    assert "not a demonstration's" in (tmp_path / "demo.out").read_text()
    assert (folder / "letter").exists()
