"""For authbridge, where people log in to the chat with their password of this site: whether it is
theirs, and whether there is such a user (authbridge's checker of kind "http", preset "django").

Who asks shows a secret, without which there is nothing here: whoever has it may try passwords, as
fast as he likes. It is read from its file at each call, so that a new one counts at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, get_user_model
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from .people import chat_name

View = Callable[[HttpRequest], HttpResponse]


def for_authbridge(answer: Callable[[dict[str, str]], dict[str, Any]], *members: str) -> View:
    """The view that answers to what these members of a JSON object are. No browser comes here, and
    so there is no token against other sites' forms: there is the secret."""

    @never_cache
    @csrf_exempt
    @require_POST
    @sensitive_variables()
    def view(request: HttpRequest) -> HttpResponse:
        secret = _secret()
        if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {secret}"):
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
        try:
            asked = json.loads(request.body)
        except ValueError:
            asked = None
        if not isinstance(asked, dict) or not all(isinstance(asked.get(m), str) for m in members):
            return HttpResponse(status=400)
        return JsonResponse(answer(asked))

    return view


@sensitive_variables()
def _check(asked: dict[str, str]) -> dict[str, Any]:
    # None too for who is not active; and as much work for who is not there.
    user = authenticate(username=asked["username"], password=asked["password"])
    name = None if user is None else chat_name(user)
    return {"accepted": name is not None, "user": name}


def _exists(asked: dict[str, str]) -> dict[str, Any]:
    users = get_user_model().objects.filter(username=asked["username"], is_active=True)
    return {"exists": any(chat_name(user) == asked["username"] for user in users)}


def _secret() -> str:
    """Raises Http404 where there is none: this site is asked by nobody then."""
    try:
        secret = Path(settings.CHAT_CHECK_SECRET_FILE).read_text(encoding="ascii").strip()
    except OSError:
        secret = ""
    if not secret:
        raise Http404
    return secret


check = for_authbridge(_check, "username", "password")
exists = for_authbridge(_exists, "username")
