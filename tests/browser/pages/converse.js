// A page with Converse, 14 or 10, with the settings of docs/web-chat.md.

import { chat, note, pingOf, settings, within } from '/pages/shared.js';

const { converse } = window;

converse.plugins.add('tests', {
  initialize() {
    const { _converse } = this;
    const { api } = _converse;
    const { $iq, Strophe } = converse.env; // Converse 10 has it no sooner
    const connection = () => _converse.connection ?? api.connection.get(); // of 10, and of 14
    if (settings.mode === 'external') {
      api.settings.set('connection_options', { mechanisms: [Strophe.SASLExternal] });
    }
    for (const event of ['connected', 'reconnected']) {
      api.listen.on(event, () => {
        chat.jid = connection().jid;
        note(event, true);
      });
    }
    for (const event of ['disconnected', 'logout', 'noResumeableBOSHSession', 'will-reconnect']) {
      api.listen.on(event, () => note(event, false));
    }
    api.listen.on('will-reconnect', () => {
      connection()?._proto?._reset?.();
      // Converse 10 writes the first session's resource into what it sends in the next one, which
      // ejabberd ends for that (invalid-from), and so on for ever.
      if (settings.mode === 'prebind') _converse.session?.unset('jid');
    });
    api.listen.on('noResumeableBOSHSession', () => setTimeout(() => api.user.login(), 5000));
    chat.ping = async (seconds) => {
      await within(seconds, api.sendIQ(pingOf($iq), 1000 * seconds));
      return true;
    };
    chat.open = (jid) => { api.chats.open(jid, {}, true); };
    chat.drop = () => { connection()._proto.socket.close(); };
  },
});

const ways = {
  credentials: { authentication: 'login', auto_login: true, credentials_url: '/credentials' },
  prebind: { authentication: 'prebind', auto_login: true, prebind_url: '/prebind' },
  external: { authentication: 'external', auto_login: true, jid: `${settings.user}@${settings.domain}` },
  password: { authentication: 'login' },
};
const bosh = settings.transport === 'bosh' || settings.mode === 'prebind';

note('initialize', false);
converse.initialize({
  ...ways[settings.mode],
  ...(bosh ? { bosh_service_url: settings.bosh } : { websocket_url: settings.websocket }),
  keepalive: settings.keepalive,
  assets_path: document.documentElement.dataset.assets,
  view_mode: 'fullscreen',
  discover_connection_methods: false,
  enable_smacks: false,
  reuse_scram_keys: false,
  allow_logout: false,
  allow_non_roster_messaging: true,
  play_sounds: false,
  show_desktop_notifications: false,
  i18n: 'en',
  whitelisted_plugins: ['tests'],
});
