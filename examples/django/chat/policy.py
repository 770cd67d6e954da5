"""What the pages may load and do (Content-Security-Policy)."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Nothing but the site's own files, and no script or style inside a page: what other users write
# never becomes a script. The XMPP server is behind the same origin, by WebSocket too.
OURS = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# Converse sets styles on elements, makes pictures from data and plays sounds.
CONVERSE = {
    **OURS,
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "media-src": "'self' blob:",
    "worker-src": "'self' blob:",
}


class ContentSecurityPolicy:
    """Middleware; a view whose page needs more puts a dictionary into `response.policy`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Add the header."""
        response = self.get_response(request)
        policy = getattr(response, "policy", OURS)
        response["Content-Security-Policy"] = "; ".join(f"{k} {v}" for k, v in policy.items())
        return response
