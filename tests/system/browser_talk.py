"""What is said between a page and somebody with a plain XMPP client."""

from .browser import Tab
from .xmpp import Client, local


def body_of(client: Client) -> tuple[str, str]:
    """The next message with a text that he is sent: who from, and the text."""
    while True:
        stanza = client.inbox.pop(0) if client.inbox else client.receive()
        body = stanza.find("{jabber:client}body")
        if local(stanza) == "message" and body is not None:
            return stanza.get("from", ""), body.text or ""


def assert_talk(tab: Tab, jid: str, friend: Client) -> None:
    """One message each way."""
    tab.say(friend.jid.partition("/")[0], "are you there?")
    assert body_of(friend) == (jid, "are you there?")
    friend.message(jid, "yes, I am")
    tab.shows("yes, I am")
