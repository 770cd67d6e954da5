// Converse, with the settings of this page.

import { atLogout, say } from './page.js';
import '../converse/converse.min.js';

const { converse } = window;
const settings = JSON.parse(document.getElementById('settings').textContent);
let chat = null;
let loggedOut = false;

if (settings.websocket_url) {
  const url = new URL(settings.websocket_url, location);
  url.protocol = url.protocol.replace('http', 'ws');
  settings.websocket_url = url.href;
}
if (settings.authentication === 'external') {
  // Otherwise Strophe prefers PLAIN, with an empty password.
  settings.connection_options = { mechanisms: [converse.env.Strophe.SASLExternal] };
}

converse.plugins.add('site', {
  initialize() {
    const { _converse } = this;
    chat = _converse.api;
    const connected = () => {
      document.getElementById('jid').textContent = chat.connection.get().jid;
      say('connected', 'Connected');
    };
    chat.listen.on('connected', connected);
    chat.listen.on('reconnected', connected);
    const waiting = (words) => loggedOut || say('waiting', words);
    chat.listen.on('will-reconnect', () => waiting('Connecting again …'));
    chat.listen.on('disconnected', () => waiting('Not connected.'));
    chat.listen.on('noResumeableBOSHSession', () => {
      // Of prebind_url: Converse does not ask again.
      waiting('The chat is not available at the moment. Trying again …');
      setTimeout(() => location.reload(), 10000);
    });
  },
});

converse.initialize({
  ...settings,
  assets_path: '/static/converse/',
  auto_login: true,
  auto_reconnect: true,
  discover_connection_methods: false, // or it asks the domain where else to connect
  allow_registration: false,
  clear_cache_on_logout: true,
  allow_logout: false, // out of the site, and of the chat with it
  render_media: false, // pictures from elsewhere: a link, as the policy lets none be loaded
  view_mode: 'overlayed',
  show_controlbox_by_default: true,
  blacklisted_plugins: ['converse-omemo'], // would load its WebAssembly from beside the page
  whitelisted_plugins: ['site'],
});

atLogout(async () => {
  loggedOut = true;
  if (chat?.connection.connected()) await chat.user.logout();
  document.querySelector('converse-root')?.remove();
  say('refused', 'You have logged out.');
});
