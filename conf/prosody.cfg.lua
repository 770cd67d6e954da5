-- What Prosody needs in its prosody.cfg.lua to have its logins checked by authbridge.
-- Tried with Prosody 0.12.3 of Debian 12.
--
-- mod_auth_http is a community module: it is neither part of Prosody nor of Debian's
-- prosody-modules. From 0.12 on `prosodyctl install --server=https://modules.prosody.im/rocks/
-- mod_auth_http` installs it; or copy mod_auth_http.lua from https://modules.prosody.im/
-- into a folder of plugin_paths. Other modules that ask authbridge, and TLS: docs/http.md.
-- conf/prosody/mod_auth_authbridge is one of our own: no password in a URL, an outage that is no wrong
-- password, logins by the website's cookie; its README.md has it.

plugin_paths = { "/usr/local/lib/prosody/modules" }

VirtualHost "example.org"
    authentication = "http"
    http_auth_url = "http://127.0.0.1:9281/auth"
    -- printed by: authbridge client new prosody --domain example.org
    http_auth_credentials = "prosody:the-secret"
