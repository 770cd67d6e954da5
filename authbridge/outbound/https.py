"""One GET over HTTPS, of a server that is verified before it is told anything."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL

from authbridge.outbound import places
from authbridge.outbound.places import Place
from authbridge.outbound.web_server import Unreached, WebServer

REDIRECTS = (301, 302, 303, 307, 308)

_HEADERS = {"Accept": "application/jwk-set+json, application/json", "Connection": "close"}


class FetchFailed(Exception):
    """Nothing was fetched; the text says why, without a word of the answer."""


def url_trouble(url: str) -> str:
    """Why `get` would not take this URL; empty where it would."""
    trouble = places.trouble(
        url,
        ("https://",),
        "it should begin with https://: what comes without protection is anybody's",
    )
    if not trouble and ":" in Place.of(url).host:
        return "an address of IPv6 has no place in it: give the host's name"
    return trouble


async def get(
    url: str,
    context: SSL.Context,
    reactor: Any,
    *,
    timeout: float,  # noqa: ASYNC109 - of Twisted, which has no context managers for it
    most_octets: int,
) -> bytes:
    """What is at this URL, as the server sends it with a 200. `timeout`, in seconds, is for all of
    it. No redirect is followed, no cookie and no proxy is known, nothing compressed is taken, and
    the connection is closed afterwards. Raises FetchFailed; CancelledError where somebody cancels
    it."""
    if trouble := url_trouble(url):
        raise FetchFailed(trouble)
    server = WebServer(url, context, reactor, most_octets=most_octets, at_once=1)
    try:
        response = await server.request(b"GET", _HEADERS, timeout=timeout)
    except Unreached as error:
        raise FetchFailed(str(error)) from None
    finally:
        server.close()
    if response.status != 200:
        elsewhere = " (it points elsewhere, and is not followed)"
        hint = elsewhere if response.status in REDIRECTS else ""
        raise FetchFailed(f"the server answers {response.status}{hint}")
    return response.body
