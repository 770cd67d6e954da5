"""BOSH: what is sent word for word, and what is made of what a server says."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.secret import Secret
from authbridge.wire import bosh
from authbridge.wire.bosh import Answer, Features, Malformed, Result

BOSH = "http://jabber.org/protocol/httpbind"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
RID = 423753835

# As Prosody 0.12.3 and ejabberd 23.01 answer; the attributes come in any order.
PROSODY = (
    "<body xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' inactivity='60' authid='8602c1d0' "
    "polling='5' xmlns='http://jabber.org/protocol/httpbind' secure='true' requests='2' "
    "sid='8602c1d0-9f01' wait='60' ver='1.6' hold='1' "
    "xmlns:stream='http://etherx.jabber.org/streams' from='chat.lab'>"
    "<stream:features xmlns='jabber:client'>"
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism>"
    "<mechanism>PLAIN</mechanism></mechanisms></stream:features></body>"
)
EJABBERD = (
    "<body xmpp:version='1.0' authid='10013978588298633224' "
    "xmlns='http://jabber.org/protocol/httpbind' sid='bd47b03e515330358cd3' wait='60' ver='1.11' "
    "polling='2' inactivity='30' hold='1' xmpp:restartlogic='true' requests='2' secure='true' "
    "maxpause='120' xmlns:xmpp='urn:xmpp:xbosh' xmlns:stream='http://etherx.jabber.org/streams' "
    "from='chat.lab'><stream:features>"
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"
    "<mechanism>X-OAUTH2</mechanism></mechanisms>"
    "<register xmlns='http://jabber.org/features/iq-register'/></stream:features></body>"
)


def body(inside="", attributes=""):
    return (
        f"<body xmlns='{BOSH}' xmlns:stream='http://etherx.jabber.org/streams'{attributes}>"
        f"{inside}</body>"
    ).encode()


def features(inside):
    return body(f"<stream:features>{inside}</stream:features>")


# --- what is sent ---------------------------------------------------------------------------------


def test_a_session_is_asked_for_word_for_word():
    assert bosh.create(RID, "chat.lab").decode() == (
        "<body content=\"text/xml; charset=utf-8\" hold='1' wait='60' rid='423753835' "
        "to=\"chat.lab\" ver='1.6' xml:lang='en' xmpp:version='1.0' "
        "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'/>"
    )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (bosh.empty(RID, "S"), ""),
        (bosh.pause(RID, "S", 110), " pause='110'"),
        (bosh.terminate(RID, "S"), " type='terminate'"),
        (
            bosh.restart(RID, "S", "chat.lab"),
            " to=\"chat.lab\" xml:lang='en' xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'",
        ),
    ],
    ids=["empty", "pause", "terminate", "restart"],
)
def test_a_body_without_children_is_sent_word_for_word(sent, expected):
    assert sent.decode() == f"<body rid='423753835' sid=\"S\"{expected} xmlns='{BOSH}'/>"


def test_a_login_is_that_of_the_user_and_nobody_elses():
    sent = bosh.plain(RID, "S", "rómeo", Secret(b"pass:\xc3\xb6"))
    initial = base64.b64encode(b"\0r\xc3\xb3meo\0pass:\xc3\xb6").decode()
    auth = f"<auth xmlns='{SASL}' mechanism='PLAIN'>{initial}</auth>"
    assert sent.decode() == f"<body rid='423753835' sid=\"S\" xmlns='{BOSH}'>{auth}</body>"


def test_a_resource_is_asked_for():
    (iq,) = ET.fromstring(bosh.bind(RID, "S", "web-1"))
    assert (iq.tag, iq.attrib) == ("{jabber:client}iq", {"type": "set", "id": bosh.BIND_ID})
    assert iq.findtext(f"{{{BIND}}}bind/{{{BIND}}}resource") == "web-1"


def test_a_session_of_old_is_asked_for():
    (iq,) = ET.fromstring(bosh.session(RID, "S"))
    assert (iq.tag, iq.attrib) == ("{jabber:client}iq", {"type": "set", "id": bosh.SESSION_ID})
    assert [one.tag for one in iq] == ["{urn:ietf:params:xml:ns:xmpp-session}session"]


@given(st.text(), st.text())
def test_what_can_be_sent_arrives_as_it_is(sid, resource):
    if not (bosh.can_be_sent(sid) and bosh.can_be_sent(resource)):
        return
    sent = ET.fromstring(bosh.bind(RID, sid, resource))
    assert sent.get("sid") == sid
    assert (sent.findtext(f".//{{{BIND}}}resource") or "") == resource


@pytest.mark.parametrize("text", ["\0", "a\x1fb", "\r\n", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_carry_is_told(text):
    assert not bosh.can_be_sent(text)


@pytest.mark.parametrize("text", ["", "a b\t\n", "<&>'\"", "é \U0010ffff"])
def test_what_it_can_is_told_too(text):
    assert bosh.can_be_sent(text)


# --- what is answered -----------------------------------------------------------------------------


def test_the_first_answer_of_prosody_is_read():
    assert bosh.read(PROSODY.encode()) == Answer(
        sid="8602c1d0-9f01",
        inactivity=60,
        features=Features(mechanisms=frozenset({"PLAIN", "SCRAM-SHA-1"})),
    )


def test_the_first_answer_of_ejabberd_is_read():
    assert bosh.read(EJABBERD.encode()) == Answer(
        sid="bd47b03e515330358cd3",
        inactivity=30,
        maxpause=120,
        features=Features(mechanisms=frozenset({"PLAIN", "X-OAUTH2"})),
    )


def test_an_answer_does_not_show_its_sid():
    assert "8602c1d0" not in repr(bosh.read(PROSODY.encode()))


def test_a_body_may_say_nothing():
    assert bosh.read(body()) == Answer()
    assert bosh.read(f"<?xml version='1.0'?><body xmlns='{BOSH}'/>\n".encode()) == Answer()


@pytest.mark.parametrize("text", ["", "-1", "1e3", "6 0", "٣", "1234567"])
def test_a_time_that_is_none_is_taken_for_not_said(text):
    assert bosh.read(body("", f" inactivity='{text}' maxpause='{text}'")) == Answer()


SESSION = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'>{}</session>"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", Features()),
        (f"<bind xmlns='{BIND}'/>", Features(bind=True)),
        (f"<bind xmlns='{BIND}'/>{SESSION.format('')}", Features(bind=True, session=True)),
        (f"<bind xmlns='{BIND}'/>{SESSION.format('<optional/>')}", Features(bind=True)),
        ("<bind xmlns='else'/><mechanisms><mechanism>PLAIN</mechanism></mechanisms>", Features()),
        (f"<mechanisms xmlns='{SASL}'><other>PLAIN</other></mechanisms>", Features()),
    ],
)
def test_features_are_told_by_their_namespaces(inside, expected):
    assert bosh.read(features(inside)).features == expected


def test_a_login_is_accepted():
    assert bosh.read(body(f"<success xmlns='{SASL}'/>")) == Answer(accepted=True)


@pytest.mark.parametrize(
    ("inside", "condition"),
    [
        ("<not-authorized/><text>secret</text>", "not-authorized"),
        ("<text>secret</text><not-authorized/>", "not-authorized"),
        ("<text>secret</text>", "undefined-condition"),
        ("", "undefined-condition"),
        ("<not-authorized xmlns='else'/>", "undefined-condition"),
        ("<a.b/>", "undefined-condition"),
        (f"<{'a' * 41}/>", "undefined-condition"),
        ("<été/>", "undefined-condition"),
    ],
)
def test_a_login_is_refused_with_a_condition_that_is_fit_for_the_log(inside, condition):
    said = body(f"<failure xmlns='{SASL}'>{inside}</failure>")
    assert bosh.read(said) == Answer(failure=condition)


@pytest.mark.parametrize(
    ("said", "condition"),
    [
        (body("", " type='terminate' condition='improper-addressing'"), "improper-addressing"),
        (body("", " type='error' condition='reset'"), "reset"),
        (body("", " type='terminate'"), "undefined-condition"),
        (body("", " type='terminate' condition='a secret'"), "undefined-condition"),
        (
            body(
                "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
                "</stream:error>",
                " type='terminate' condition='remote-stream-error'",
            ),
            "host-unknown",
        ),
        (body("<stream:error/>"), "undefined-condition"),
        (body("", " type='other' condition='reset'"), ""),
    ],
)
def test_an_end_is_told_with_its_condition(said, condition):
    assert bosh.read(said).ended == condition


IQ = "<iq xmlns='jabber:client' id='bind' type='{}'>{}</iq>"
JID = "romeo@chat.lab/a &amp; b"


@pytest.mark.parametrize(
    ("iq", "result"),
    [
        (
            IQ.format("result", f"<bind xmlns='{BIND}'><jid>{JID}</jid></bind>"),
            Result("bind", jid="romeo@chat.lab/a & b"),
        ),
        (IQ.format("result", f"<bind xmlns='{BIND}'/>"), Result("bind")),
        (IQ.format("result", ""), Result("bind")),
        (
            IQ.format(
                "error",
                "<error type='cancel'>"
                "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
            ),
            Result("bind", error="conflict"),
        ),
        (IQ.format("error", ""), Result("bind", error="undefined-condition")),
        (IQ.format("set", ""), None),
        (IQ.format("get", ""), None),
        ("<iq xmlns='else' id='bind' type='result'/>", None),
        ("<message xmlns='jabber:client' id='bind' type='result'/>", None),
    ],
)
def test_the_answer_to_an_iq_is_read(iq, result):
    assert bosh.read(body(iq)).results == (() if result is None else (result,))


# --- what is no answer ----------------------------------------------------------------------------


def deep(levels):
    return body("<a>" * (levels - 1) + "</a>" * (levels - 1))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "no XML"),
        (b"<html><body>secret</html>", "no XML"),
        (b"It works!", "no XML"),
        (PROSODY.encode()[:-1], "no XML"),
        (PROSODY.encode() * 2, "no XML"),
        (PROSODY.encode() + b"\0", "no XML"),
        (PROSODY.encode("utf-16"), "no XML"),
        (b"\xff", "no XML"),
        (body("&nbsp;"), "no XML"),
        (body("<a:b/>"), "no XML"),
        (b"<html/>", "no body of BOSH"),
        (b"<body/>", "no body of BOSH"),
        (b"<x xmlns='http://jabber.org/protocol/httpbind'/>", "no body of BOSH"),
        (b"<!DOCTYPE body><body xmlns='http://jabber.org/protocol/httpbind'/>", "does not know"),
        (b"<!DOCTYPE b [<!ENTITY a 'b'>]><body>&a;</body>", "does not know"),
        (b"<!DOCTYPE b SYSTEM 'file:///etc/passwd'><body/>", "does not know"),
        (body("<?php secret?>"), "does not know"),
        (body("<!-- secret -->"), "does not know"),
        (deep(bosh.MOST_DEPTH + 1), "nested too deeply"),
        (deep(30_000), "nested too deeply"),
        (body(" " * bosh.MOST_OCTETS), "too large"),
    ],
)
def test_what_is_no_answer_is_refused_without_a_word_of_it(said, why):
    with pytest.raises(Malformed) as raised:
        bosh.read(said)
    assert why in str(raised.value)
    assert "secret" not in str(raised.value)


def test_what_is_as_deep_and_as_large_as_it_may_be_is_read():
    assert bosh.read(deep(bosh.MOST_DEPTH)) == Answer()
    assert bosh.read(body(" " * (bosh.MOST_OCTETS - len(body())))) == Answer()


def test_an_encoding_that_is_announced_is_not_believed():
    said = f"<?xml version='1.0' encoding='iso-8859-1'?><body xmlns='{BOSH}' sid='\u00e9'/>"
    assert bosh.read(said.encode()).sid == "\u00e9"


@given(st.binary(max_size=200))
def test_octets_are_an_answer_or_malformed(said):
    try:
        bosh.read(said)
    except Malformed:
        pass
    else:
        raise AssertionError("this is XML by accident")


@given(st.binary(max_size=20), st.integers(0, len(PROSODY)), st.integers(0, 40))
def test_what_was_tampered_with_is_an_answer_or_malformed(octets, place, gone):
    said = PROSODY.encode()
    try:
        bosh.read(said[:place] + octets + said[place + gone :])
    except Malformed:
        pass
