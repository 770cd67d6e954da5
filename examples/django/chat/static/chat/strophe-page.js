// The chat of the Strophe pages.
//
// A tab has one BOSH session and takes it along from page to page. Strophe itself writes its three
// values (jid, sid, the next rid) to sessionStorage, of which each tab has its own, with every
// request (`keepalive`), and goes on with them on the next page (`restore`). What is left to us:
//
// - A tab that is duplicated gets a copy of its sessionStorage, and two pages that count the same
//   rid destroy the session. So a page holds a lock on the session that it uses, and one that does
//   not get the lock takes a session of its own. The browser lets the lock go with the page.
// - `attach` and `restore` say "attached" though nothing was sent, and to sessions too that the
//   server has long forgotten. So a session counts once it has answered a ping.
// - A session that does not answer, or is lost, is replaced by a new one from the back end.

import { $build, $iq, $msg, $pres, Strophe } from '../strophe/strophe.esm.js';
import { atLogout, say } from './page.js';

const page = JSON.parse(document.getElementById('page').textContent);
const write = document.getElementById('write');
const { Status } = Strophe;

const LOCK = 1500; // ms; the page before us in this tab may be gone a moment later
const ANSWER = 10000; // ms for the ping; Strophe's own clocks may stand still meanwhile
const END = 4000; // ms; Strophe gives up after 3 s
const LONGEST_PAUSE = 30; // s between two tries

Strophe.setLogLevel(Strophe.LogLevel.WARN);

let connection = null; // the one that is in use
let interrupted = false;
let loggedOut = false;

// --- one session ------------------------------------------------------------------------------

function stored() {
  const found = JSON.parse(sessionStorage.getItem('strophe-bosh-session'));
  // Somebody else may have been logged in before.
  return found && Strophe.getBareJidFromJid(found.jid) === page.jid ? found : null;
}

// Whether this page is the only one that uses the session. Locks need https, or localhost.
function claim(jid) {
  if (!navigator.locks) return Promise.resolve(false);
  return new Promise((resolve) => {
    const untilThePageIsGone = () => (resolve(true), new Promise(() => {}));
    navigator.locks
      .request(`session ${jid}`, { signal: AbortSignal.timeout(LOCK) }, untilThePageIsGone)
      .catch(() => resolve(false));
  });
}

// Take a session over; begin: attaches a connection to it. Resolves to whether it is alive.
function take(begin) {
  const fresh = new Strophe.Connection(page.bosh, { keepalive: true });
  fresh.addHandler(received, null, 'message', 'chat');
  fresh.xmlInput = () => connection === fresh && interrupted && connected();
  for (const status of [0, 500, 502, 503, 504]) {
    fresh.addProtocolErrorHandler('HTTP', status, () => connection === fresh && interrupt());
  }
  return new Promise((resolve) => {
    let givenUp = false;
    const timer = setTimeout(async () => {
      givenUp = true;
      await end(fresh); // before another is begun: at its end Strophe forgets what is stored
      resolve(false);
    }, ANSWER);
    const answered = () => {
      if (givenUp) return;
      clearTimeout(timer);
      connection = fresh;
      fresh.send($pres());
      resolve(true);
    };
    begin(fresh, (status) => {
      if (status === Status.ATTACHED) {
        ping(fresh, answered);
      } else if (status === Status.DISCONNECTED) {
        clearTimeout(timer);
        resolve(false);
        if (connection === fresh) lost();
      }
    });
  });
}

function ping(asked, answered) {
  const iq = $iq({ type: 'get', to: asked.domain }).c('ping', { xmlns: 'urn:xmpp:ping' });
  asked.sendIQ(iq, answered, answered); // "no such thing" is an answer as well
}

function end(ending) {
  return new Promise((resolve) => {
    ending.connect_callback = (status) => status === Status.DISCONNECTED && resolve();
    setTimeout(resolve, END);
    ending.disconnect();
  });
}

// End a session that was made for this page and is not needed.
function decline({ sid, rid }) {
  const body = $build('body', { xmlns: Strophe.NS.HTTPBIND, sid, rid, type: 'terminate' });
  const headers = { 'Content-Type': 'text/xml; charset=utf-8' };
  fetch(page.bosh, { method: 'POST', headers, body: body.toString() }).catch(() => {});
}

// --- which session ----------------------------------------------------------------------------

async function start() {
  const mine = stored();
  const goOn = (fresh, callback) => fresh.restore(page.jid, callback);
  if (mine && (await claim(mine.jid)) && (await take(goOn))) {
    connected('This tab’s session goes on.');
    if (page.session) decline(page.session);
  } else if (!(page.session && (await takeNew(page.session)))) {
    await renew();
  }
}

async function takeNew({ jid, sid, rid }) {
  claim(jid);
  if (!(await take((fresh, callback) => fresh.attach(jid, sid, rid, callback)))) return false;
  connected('This is a new session.');
  return true;
}

// Ask the back end for a session until there is one, or there is to be none.
async function renew() {
  for (let pause = 1; !loggedOut; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    const { status, session, trouble, wait } = await ask();
    if (loggedOut) return;
    if (session && (await takeNew(session))) return;
    if (status === 401 || status === 403) {
      say('refused', trouble ?? 'The site refuses: load the page again.');
      return;
    }
    const seconds = Math.max(wait ?? 0, pause) * (1 + Math.random() / 2);
    say('waiting', `${trouble ?? 'The chat cannot be reached.'} Trying again …`);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

async function ask() {
  const [, token] = document.cookie.match(/(?:^|; )csrftoken=([^;]*)/) ?? [];
  try {
    const headers = { 'X-CSRFToken': token ?? '', Accept: 'application/json' };
    const answer = await fetch(page.renew, { method: 'POST', headers, redirect: 'error' });
    return { status: answer.status, ...(await answer.json().catch(() => ({}))) };
  } catch {
    return { status: 0 };
  }
}

function lost() {
  connection = null;
  interrupted = false;
  write.querySelector('button').disabled = true;
  say('waiting', 'The connection is lost. Trying again …');
  if (!loggedOut) renew();
}

function interrupt() {
  // Strophe tries by itself. But a request that gets through then has no answer for a minute, if
  // there is nothing to say.
  if (!interrupted) setTimeout(() => interrupted && ping(connection), ANSWER);
  interrupted = true;
  say('waiting', 'The connection is interrupted. Trying again …');
}

// --- what is seen -----------------------------------------------------------------------------

function connected(how) {
  interrupted = false;
  if (how) document.getElementById('how').textContent = how;
  document.getElementById('jid').textContent = connection.jid;
  write.querySelector('button').disabled = false;
  say('connected', 'Connected');
}

function show(who, text) {
  const item = document.createElement('li');
  const name = document.createElement('b');
  name.textContent = who;
  item.append(name, text);
  document.getElementById('messages').append(item);
}

function received(message) {
  const body = [...message.children].find((child) => child.localName === 'body');
  const from = message.getAttribute('from');
  if (body && from) show(Strophe.getNodeFromJid(from) ?? from, body.textContent);
  return true; // go on listening
}

write.addEventListener('submit', (event) => {
  event.preventDefault();
  const { to, text } = write.elements;
  const jid = to.value.includes('@') ? to.value : `${to.value}@${connection.domain}`;
  connection.send($msg({ to: jid, type: 'chat' }).c('body').t(text.value));
  show(Strophe.getNodeFromJid(page.jid), text.value);
  text.value = '';
});

// A page that comes back as it was left would go on with numbers that are used up.
window.addEventListener('pageshow', (event) => event.persisted && location.reload());

atLogout(async () => {
  loggedOut = true;
  if (connection) await end(connection);
  write.querySelector('button').disabled = true;
  say('refused', 'You have logged out.');
});

start();
