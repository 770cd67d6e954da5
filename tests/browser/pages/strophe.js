// A page with Strophe alone: with `credentials` it connects, with `prebind` it attaches.

import { $iq, $msg, $pres, Strophe } from '/strophe/strophe.esm.js';
import { chat, note, pingOf, settings, within } from '/pages/shared.js';

const { Status } = Strophe;
const names = Object.fromEntries(Object.entries(Status).map(([name, number]) => [number, name.toLowerCase()]));
const service = settings.transport === 'bosh' || settings.mode === 'prebind' ? settings.bosh : settings.websocket;
const connection = new Strophe.Connection(service);
let next;

function show(from, body) {
  const line = document.createElement('li');
  line.textContent = `${from}: ${body}`;
  document.getElementById('messages').append(line);
}

function received(stanza) {
  const body = stanza.querySelector('body')?.textContent;
  if (body) show(stanza.getAttribute('from'), body);
  return true;
}

function ping(seconds) {
  return within(seconds, new Promise((resolve, reject) => {
    connection.sendIQ(pingOf($iq), () => resolve(true), () => reject(new Error('an error')));
  }));
}

function changed(status) {
  const connected = status === Status.CONNECTED || status === Status.ATTACHED;
  if (connected) {
    chat.jid = connection.jid;
    connection.addHandler(received, null, 'message');
    chat.first = ping(80); // the very first stanza of the session
    connection.send($pres());
  }
  note(names[status], connected);
  if (status === Status.DISCONNECTED) later(1);
}

// However often it is told that the connection is over.
function later(seconds) {
  clearTimeout(next);
  next = setTimeout(start, 1000 * seconds);
}

async function start() {
  const path = settings.mode === 'prebind' ? '/prebind' : '/credentials';
  const answer = await fetch(path).catch(() => null);
  const found = await answer?.json().catch(() => null);
  if (!answer?.ok) {
    note(`${path} ${answer?.status}`, false);
    later(2);
    return;
  }
  connection.reset();
  if (settings.mode === 'prebind') {
    if (settings.delay) await new Promise((resolve) => { setTimeout(resolve, 1000 * settings.delay); });
    connection.attach(found.jid, found.sid, found.rid, changed);
  } else {
    connection.connect(found.jid, found.password, changed);
  }
}

document.getElementById('message').addEventListener('submit', (event) => {
  event.preventDefault();
  const { to, text } = event.target.elements;
  connection.send($msg({ type: 'chat', to: to.value }).c('body').t(text.value));
  show(connection.jid, text.value);
});

Object.assign(chat, {
  // One request of BOSH, whatever is in it; what was answered in time.
  post: (body, seconds) => within(seconds, fetch(settings.bosh, {
    method: 'POST', headers: { 'Content-Type': 'text/xml; charset=utf-8' }, body,
  }).then((answer) => answer.text())).catch((error) => error.message),
  ping,
  drop() { connection._proto.socket.close(); },
  // One login, and how it ended.
  logIn: (jid, password, seconds) => within(seconds, new Promise((resolve) => {
    const trying = new Strophe.Connection(service);
    let over = false;
    trying.connect(jid, password, (status) => {
      if (over || ![Status.CONNECTED, Status.AUTHFAIL, Status.CONNFAIL, Status.DISCONNECTED].includes(status)) return;
      over = true;
      resolve(names[status]);
      trying.disconnect();
    });
  })),
});

note('initialize', false);
if (settings.mode !== 'none') start();
