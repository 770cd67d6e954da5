"""The pages, and what they and authbridge ask."""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from . import authbridge, policy
from .people import chat_name, jid_of

log = logging.getLogger(__name__)

AWAY = "The chat is not available at the moment."
NOT_FOR_YOU = "There is no chat for this account."
LOGGED_OUT = "You are not logged in."


@never_cache
@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The way to all others."""
    return render(request, "chat/home.html", {"jid": jid_of(request.user)})


@never_cache
@require_GET
def whoami(request: HttpRequest) -> HttpResponse:
    """For authbridge, which asks with nothing but the session's cookie: whose is it?

    Never a redirect to the login page, never a page.
    """
    name = chat_name(request.user)
    return JsonResponse({"user": name}, status=401 if name is None else 200)


@never_cache
@login_required
@ensure_csrf_cookie
@require_GET
def strophe(request: HttpRequest, number: int) -> HttpResponse:
    """Pages with the chat in them. The first comes with a session, the others go on with the one
    that their tab has, and ask for another where it has none."""
    if number not in (1, 2, 3):
        raise Http404
    page: dict[str, Any] = {
        "jid": jid_of(request.user),
        "bosh": settings.CHAT_BOSH_URL,
        "renew": reverse("session"),
        "session": None,
    }
    # A browser that fetches in advance may never show the page.
    if number == 1 and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        answer, _ = _prebind(request)
        page["session"] = answer.get("session")
    return render(request, "chat/strophe.html", {"number": number, "page": page})


@never_cache
@require_POST
def session(request: HttpRequest) -> HttpResponse:
    """A new session for a page whose own is gone. POST, with Django's CSRF token: no other site
    has sessions made for our users."""
    answer, status = _prebind(request)
    response = JsonResponse(answer, status=status)
    if "wait" in answer:
        response["Retry-After"] = answer["wait"]
    return response


def _prebind(request: HttpRequest) -> tuple[dict[str, Any], int]:
    """What a page is told, and the status that says the same."""
    if not request.user.is_authenticated:
        return {"trouble": LOGGED_OUT}, 401
    jid = jid_of(request.user)
    if jid is None:
        return {"trouble": NOT_FOR_YOU}, 403
    try:
        found = authbridge.prebind(jid, _address(request))
    except authbridge.Refused as error:
        log.warning("%s has no chat: %s", jid, error)
        return {"trouble": NOT_FOR_YOU}, 403
    except authbridge.Unavailable as error:
        log.warning("%s has no chat now: %s", jid, error)
        return {"trouble": AWAY, "wait": error.retry_after}, 503
    return {"session": {"jid": found.jid, "sid": found.sid, "rid": found.rid}}, 200


def _address(request: HttpRequest) -> str | None:
    """The browser's, which our proxy puts in the place of whatever the browser said of itself."""
    try:
        return str(ipaddress.ip_address(request.headers.get("X-Real-IP", "")))
    except ValueError:
        return None


@never_cache
@login_required
@require_GET
def converse(request: HttpRequest, way: str) -> HttpResponse:
    """Converse, which logs in by itself: in one of three ways."""
    ways = {
        "credentials": {
            "authentication": "login",
            "credentials_url": settings.CHAT_CREDENTIALS_URL,
            "websocket_url": settings.CHAT_WEBSOCKET_URL,
        },
        "prebind": {
            "authentication": "prebind",
            # Or it goes on with the session that the tab's last user has left there.
            "jid": jid_of(request.user),
            "prebind_url": settings.CHAT_PREBIND_URL,
            "bosh_service_url": settings.CHAT_BOSH_URL,
        },
        "cookie": {
            "authentication": "external",
            "jid": jid_of(request.user),
            "websocket_url": settings.CHAT_WEBSOCKET_URL,
        },
    }
    if way not in ways:
        raise Http404
    if ways["cookie"]["jid"] is None:
        return render(request, "chat/home.html", status=403)
    response = render(request, "chat/converse.html", {"way": way, "settings": ways[way]})
    response.policy = policy.CONVERSE
    return response
