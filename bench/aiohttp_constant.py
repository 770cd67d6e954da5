"""An aiohttp server that says yes to everything: what our HTTP front end is compared with."""

import sys

from aiohttp import web


async def yes(request: web.Request) -> web.Response:
    return web.Response(text="true")


if __name__ == "__main__":
    application = web.Application()
    application.router.add_get("/auth/check_password", yes)
    web.run_app(
        application, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=lambda _: None
    )
