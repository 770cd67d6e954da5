// What the pages have in common: their settings, and what they show and tell of the connection.
// Nothing here returns a model of Converse: who evaluates it from outside would get all of Converse.

const query = new URLSearchParams(location.search);
const { domain, user } = document.documentElement.dataset;

export const settings = {
  domain,
  user,
  mode: query.get('mode') ?? 'credentials', // or prebind, external, password, none
  transport: query.get('transport') ?? 'websocket', // or bosh
  keepalive: query.get('keepalive') !== 'false',
  delay: Number(query.get('delay') ?? 0), // seconds between prebind and attach
  websocket: `ws://${location.host}/xmpp-websocket`,
  bosh: `${location.origin}/http-bind`,
};

// `events`: what happened, oldest first. The functions are the page's.
export const chat = { events: [], connected: false, jid: '' };
window.chat = chat;

export function note(event, connected) {
  chat.events.push(event);
  chat.connected = connected;
  document.getElementById('status').textContent = connected
    ? `connected as ${chat.jid}`
    : `not connected (${event})`;
}

// Strophe's and Converse's own timers stand still while no request is answered.
export function within(seconds, promise) {
  const over = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`not within ${seconds} s`)), 1000 * seconds);
  });
  return Promise.race([promise, over]);
}

export function pingOf(build) {
  return build({ type: 'get', to: settings.domain, id: `ping-${crypto.randomUUID()}` })
    .c('ping', { xmlns: 'urn:xmpp:ping' });
}
