"""What the tests of this folder share."""

from __future__ import annotations

import gc

import pytest
from twisted.logger import LogLevel

from authbridge import client_tls
from tests.ldap.certificates import ADDRESS, NAME, OURS
from tests.outbound.web import WebNetwork


@pytest.fixture(scope="module", autouse=True)
def own_garbage():
    """The collector looks at what the tests of one module have made: not at what others have left
    behind, which would be laid at their door, and take long."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def network(events):
    """Where nothing may be left behind: no connection, no timer, no failure that nobody saw."""
    network = WebNetwork()
    network.names = {
        NAME: [ADDRESS], f"{NAME}.": [ADDRESS], "a.b.example.org": [ADDRESS], ADDRESS: [ADDRESS],
    }  # fmt: skip
    yield network
    network.settle()
    assert network.open == []
    assert network.getDelayedCalls() == []
    gc.collect()
    assert [event for event in events if event["log_level"] is LogLevel.critical] == []


@pytest.fixture(scope="module")
def trust():
    """A client that trusts one authority."""
    return client_tls.make_context([client_tls.Certificate.loadPEM(OURS.pem)])
