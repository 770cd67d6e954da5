"""A twisted.web Site whose one resource says yes: what the framework costs without us."""

import sys
from typing import Any

from twisted.internet import reactor as installed
from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class Yes(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return b"true"


class Unlogged(Site):
    """Without the log of URLs, which would double the cost."""

    def log(self, request: Any) -> None:
        pass


if __name__ == "__main__":
    reactor: Any = installed
    reactor.listenTCP(int(sys.argv[1]), Unlogged(Yes()), interface="127.0.0.1")
    reactor.run()
