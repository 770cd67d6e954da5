"""The site alone, with a stand-in for authbridge: python manage.py test"""

# ruff: noqa: D101, D102, S105, S106

from __future__ import annotations

import base64
import json
import logging
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.test import Client, TestCase, override_settings
from django.urls import reverse

from .authbridge import Session
from .policy import CONVERSE

SECRET = "of-the-stand-in"
SESSION = {"jid": "alice@example.org/x1", "sid": "s-1", "rid": 2**40 + 1}


class StandIn:
    """Answers every call in the same way, and remembers it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, json.dumps(SESSION).encode())
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stand_in.calls.append((self.path, dict(self.headers), json.loads(body)))
                status, headers, content = stand_in.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class SiteTests(TestCase):
    alice: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.alice = User.objects.create(username="alice")

    def setUp(self) -> None:
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.authbridge = StandIn()
        self.addCleanup(self.authbridge.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        secret = Path(folder.name) / "secret"
        secret.write_text(SECRET + "\n")
        settings = override_settings(
            AUTHBRIDGE_URL=self.authbridge.url,
            AUTHBRIDGE_SECRET_FILE=secret,
            AUTHBRIDGE_TIMEOUT=2,
            CHAT_CHECK_SECRET_FILE=secret,
            AUTHBRIDGE_REVOKE_AT_LOGOUT=False,
            ALLOWED_HOSTS=["testserver"],
            SESSION_COOKIE_SECURE=False,
        )
        settings.enable()
        self.addCleanup(settings.disable)

    def log_in(self) -> None:
        self.client.force_login(self.alice)

    def page(self, url: str, **headers: str) -> dict[str, Any]:
        text = self.client.get(url, headers=headers).content.decode()
        json_script = text.partition('<script id="page" type="application/json">')[2]
        found: dict[str, Any] = json.loads(json_script.partition("</script>")[0])
        return found

    # Who is it?

    def test_whoami_is_told_by_the_cookie_alone(self) -> None:
        self.log_in()
        answer = self.client.get("/whoami")
        assert (answer.status_code, answer.json()) == (200, {"user": "alice"})
        assert "no-store" in answer["Cache-Control"]

    def test_whoami_of_nobody_is_a_401_and_never_a_redirect(self) -> None:
        answer = self.client.get("/whoami")
        assert (answer.status_code, answer.json()) == (401, {"user": None})
        self.client.cookies["sessionid"] = "forged"
        assert self.client.get("/whoami").status_code == 401

    def test_whoami_of_a_name_that_is_no_jid_is_nobody(self) -> None:
        for name in ("Alice", "al ice", "alice@example.org", "alice\n", "älice"):
            self.client.force_login(User.objects.create(username=name))
            assert self.client.get("/whoami").status_code == 401, name

    def test_whoami_after_logout_is_nobody_with_the_old_cookie(self) -> None:
        self.log_in()
        cookie = self.client.cookies["sessionid"].value
        self.client.post("/logout")
        self.client.cookies["sessionid"] = cookie
        assert self.client.get("/whoami").status_code == 401

    # Pages

    def test_pages_send_who_is_not_logged_in_to_the_login(self) -> None:
        for url in ("/", "/strophe/", "/strophe/2/", "/converse/credentials/"):
            self.assertRedirects(self.client.get(url), f"/login?next={url}")
        assert self.authbridge.calls == []

    def test_first_page_has_a_session_that_the_back_end_has_fetched(self) -> None:
        self.log_in()
        page = self.page("/strophe/", X_Real_IP="192.0.2.7")
        assert page["session"] == SESSION
        ((path, headers, asked),) = self.authbridge.calls
        assert (path, asked) == ("/prebind", {"jid": "alice@example.org"})
        basic = base64.b64encode(f"django:{SECRET}".encode()).decode()
        assert headers["Authorization"] == f"Basic {basic}"
        assert headers["X-Forwarded-For"] == "192.0.2.7"

    def test_other_pages_have_none(self) -> None:
        self.log_in()
        assert self.page("/strophe/2/")["session"] is None
        assert self.page("/strophe/", Sec_Purpose="prefetch;prerender")["session"] is None
        assert self.authbridge.calls == []

    def test_no_page_is_kept_and_none_takes_scripts_from_elsewhere(self) -> None:
        self.log_in()
        for url in ("/", "/strophe/", "/converse/prebind/", "/whoami"):
            answer = self.client.get(url)
            assert "no-store" in answer["Cache-Control"], url
            policy = answer["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self';" in policy
            assert ("unsafe-inline" in policy) == ("converse" in url)
        assert "unsafe-eval" not in str(CONVERSE)

    def test_pages_hold_no_password_and_not_the_client_s_secret(self) -> None:
        self.log_in()
        for url in ("/", "/strophe/", "/strophe/2/", *map("/converse/{}/".format, WAYS)):
            text = self.client.get(url).content.decode()
            assert SECRET not in text
            assert '"password"' not in text

    def test_who_has_no_jid_is_told_so(self) -> None:
        self.client.force_login(User.objects.create(username="Älice"))
        self.assertContains(self.client.get("/"), "There is no chat for this account")
        assert self.client.get("/converse/cookie/").status_code == 403
        assert self.page("/strophe/")["session"] is None
        assert self.client.post("/strophe/session").status_code == 403
        assert self.authbridge.calls == []

    def test_ways_and_pages_that_there_are_not(self) -> None:
        self.log_in()
        for url in ("/strophe/4/", "/converse/password/"):
            assert self.client.get(url).status_code == 404

    # A session for a page whose own is gone

    def test_session_is_renewed(self) -> None:
        self.log_in()
        answer = self.client.post(reverse("session"))
        assert (answer.status_code, answer.json()) == (200, {"session": SESSION})
        assert "no-store" in answer["Cache-Control"]

    def test_nobody_gets_none(self) -> None:
        assert self.client.post(reverse("session")).status_code == 401
        assert self.authbridge.calls == []

    def test_other_sites_and_links_get_none(self) -> None:
        assert self.client.get(reverse("session")).status_code == 405
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.alice)
        assert strict.post(reverse("session")).status_code == 403
        assert self.authbridge.calls == []

    def test_page_comes_without_a_session_while_there_is_none_to_be_had(self) -> None:
        self.log_in()
        for answer in (
            (503, {"Retry-After": "7"}, b"{}"),
            (429, {"Retry-After": "7"}, b"{}"),
            (401, {}, b"{}"),
            (302, {"Location": "/elsewhere"}, b""),
            (200, {}, b"<html>"),
            (200, {}, b"[1]"),
            (200, {}, b'{"jid": "alice@example.org/x1"}'),
        ):
            self.authbridge.answer = answer
            assert self.page("/strophe/")["session"] is None
            renewed = self.client.post(reverse("session"))
            assert renewed.status_code == 503
            assert renewed["Retry-After"] == ("7" if 400 < answer[0] != 401 else "5")
            assert "<" not in renewed.content.decode()
        assert "/elsewhere" not in [path for path, _, _ in self.authbridge.calls]

    def test_page_comes_while_authbridge_is_not_there(self) -> None:
        self.log_in()
        with override_settings(AUTHBRIDGE_URL="http://127.0.0.1:1"):
            assert self.page("/strophe/")["session"] is None
        with override_settings(AUTHBRIDGE_SECRET_FILE="/nonexistent"):
            assert self.client.post(reverse("session")).status_code == 503

    def test_who_may_not_chat_is_told_so(self) -> None:
        self.log_in()
        self.authbridge.answer = (403, {}, b"{}")
        answer = self.client.post(reverse("session"))
        assert answer.status_code == 403
        assert "no chat for this account" in answer.json()["trouble"]

    def test_session_shows_itself_in_no_log(self) -> None:
        shown = repr(Session("alice@example.org/x1", "the-sid", 42))
        assert shown == "<session of alice@example.org/x1>"

    # Logout

    def test_logout_revokes_the_tokens_where_that_is_set(self) -> None:
        self.log_in()
        with override_settings(AUTHBRIDGE_REVOKE_AT_LOGOUT=True):
            self.client.post("/logout")
        ((path, _, asked),) = self.authbridge.calls
        assert (path, asked) == ("/tokens/revoke", {"jid": "alice@example.org"})

    def test_logout_revokes_nothing_where_it_is_not(self) -> None:
        self.log_in()
        self.client.post("/logout")
        assert self.authbridge.calls == []

    def test_logout_works_while_authbridge_is_not_there(self) -> None:
        self.log_in()
        with override_settings(
            AUTHBRIDGE_REVOKE_AT_LOGOUT=True, AUTHBRIDGE_URL="http://127.0.0.1:1"
        ):
            assert self.client.post("/logout").status_code == 302
        assert self.client.get("/whoami").status_code == 401

    # What authbridge asks about passwords and users.

    def ask(self, path: str, secret: str = SECRET, **members: Any) -> Any:
        return self.client.post(
            f"/chat/{path}", members, "application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )  # fmt: skip

    def test_password_is_the_user_s(self) -> None:
        self.alice.set_password("looking-glass")
        self.alice.save()
        answer = self.ask("check-password", username="alice", password="looking-glass")
        assert (answer.status_code, answer.json()) == (200, {"accepted": True, "user": "alice"})
        assert "no-store" in answer["Cache-Control"]
        assert "sessionid" not in self.client.cookies
        no = {"accepted": False, "user": None}
        for name, password in (
            ("alice", "Looking-glass"), ("alice", ""), ("bob", "looking-glass"),
            ("Alice", "looking-glass"), ("alice ", "looking-glass"), ("", ""), ("' OR 1=1 --", "x"),
        ):  # fmt: skip
            assert self.ask("check-password", username=name, password=password).json() == no
        User.objects.filter(username="alice").update(is_active=False)
        assert self.ask("check-password", username="alice", password="looking-glass").json() == no

    def test_who_exists_is_told(self) -> None:
        User.objects.create(username="gone", is_active=False)
        for name in ("Odd", "älice"):
            User.objects.create_user(name, password="looking-glass")
        assert self.ask("user-exists", username="alice").json() == {"exists": True}
        for name in ("bob", "gone", "Alice", "ALICE", "Odd", "älice", ""):
            assert self.ask("user-exists", username=name).json() == {"exists": False}, name
        # Who has no JID here has no password for one either.
        answer = self.ask("check-password", username="Odd", password="looking-glass")
        assert answer.json() == {"accepted": False, "user": None}

    def test_questions_are_answered_to_who_has_the_secret(self) -> None:
        for path in ("check-password", "user-exists"):
            for secret in ("", "of-nobody", f"{SECRET} ", "sécret"):
                assert self.ask(path, secret, username="alice", password="x").status_code == 401
            asked = {"username": "alice", "password": "x"}
            assert self.client.post(f"/chat/{path}", asked).status_code == 401
            assert self.client.get(f"/chat/{path}").status_code == 405
            for missing in ("none", "empty"):
                with tempfile.TemporaryDirectory() as folder:
                    (Path(folder) / "empty").write_text("\n")
                    with override_settings(CHAT_CHECK_SECRET_FILE=Path(folder) / missing):
                        assert self.ask(path, "", username="alice").status_code == 404

    def test_questions_have_their_members(self) -> None:
        for members in ({}, {"username": 7, "password": "x"}, {"username": "a", "password": None}):
            assert self.ask("check-password", **members).status_code == 400
        headers = {"Authorization": f"Bearer {SECRET}"}
        for body in (b"", b"[]", b"{", b"\xff"):
            answer = self.client.post(
                "/chat/user-exists", body, "application/json", headers=headers
            )
            assert answer.status_code == 400


WAYS = ("credentials", "prebind", "cookie")
