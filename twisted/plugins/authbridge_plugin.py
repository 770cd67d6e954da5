"""Makes `twistd authbridge` known to Twisted. There is no __init__.py beside it, on purpose."""

from twisted.application.service import ServiceMaker

serviceMaker = ServiceMaker(
    "authbridge", "authbridge.tap", "Bridge between XMPP servers and user directories", "authbridge"
)
