"""What a browser says of the page that asks (Fetch, RFC 6454), and whether that page may.

A page of anybody's can have a browser ask us, with the user's cookies; what keeps it from being
given anything is decided here, before anything is made. Browsers add these headers themselves, and
no page can change them:

    Origin            whose page asks; missing where a page asks its own origin by GET
    Sec-Fetch-Site    same-origin, same-site, cross-site, or none (typed by the user)
    Sec-Fetch-Mode    cors and same-origin are what a script asks to read, by fetch or XHR
    Sec-Fetch-Dest    empty, for those; script, image, document and so on for the rest

Old browsers, and all of them on a site without TLS, send no Sec-Fetch; then the Referer, where
there is one, says which page it is. Without any of them anybody's page may have something made that
it cannot read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence

from authbridge.wire.http import BadRequest, host_name

_PAGE = re.compile(rb"https?://([^/?#@\\\\]+)(?:[/?#].*)?")
_MODES = (b"cors", b"same-origin")


class Foreign(Exception):
    """The page may not ask."""


def read_origin(
    values: Callable[[bytes], Sequence[bytes]], origins: Container[bytes], hosts: Container[str]
) -> bytes | None:
    """The origin of the page, one of `origins`; None where it says none, and may do so, as a page
    of one of `hosts`. Raises Foreign. `values`: of a header field by its name in lower case."""
    mode, destination = values(b"sec-fetch-mode"), values(b"sec-fetch-dest")
    if mode and (len(mode) > 1 or mode[0] not in _MODES):
        raise Foreign
    if destination and list(destination) != [b"empty"]:
        raise Foreign
    asking, sites = values(b"origin"), values(b"sec-fetch-site")
    if not asking:
        if sites and list(sites) != [b"same-origin"]:
            raise Foreign
        if not sites and not _is_of(values(b"referer"), hosts):
            raise Foreign
        return None
    if len(asking) > 1 or asking[0] not in origins or len(sites) > 1:
        raise Foreign
    return asking[0]


def _is_of(referers: Sequence[bytes], hosts: Container[str]) -> bool:
    """Whether the page that a request comes from may be of one of these hosts."""
    if not referers:
        return True
    match = _PAGE.fullmatch(referers[0])
    try:
        return len(referers) == 1 and match is not None and host_name(match[1]) in hosts
    except BadRequest:
        return False
