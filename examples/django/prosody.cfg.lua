-- Prosody for this site. Tried with Prosody 0.12.3 of Debian 12.

-- mod_auth_authbridge of the project's conf/prosody.
plugin_paths = { "/usr/local/lib/prosody/modules" }

modules_enabled = {
    "roster", "saslauth", "disco", "ping", "carbons", "offline", "presence", "message", "iq",
    "vcard_legacy", "pep", "blocklist", "time", "bosh", "websocket",
}

-- Browsers and authbridge come by HTTP, from this machine; TLS ends at nginx.
http_interfaces = { "127.0.0.1" }
http_ports = { 5280 }
https_ports = { }
http_default_host = "example.org"
consider_bosh_secure = true
consider_websocket_secure = true
-- nginx says who is behind it.
trusted_proxies = { "127.0.0.1" }

VirtualHost "example.org"
    authentication = "authbridge"
    authbridge_url = "http://127.0.0.1:9281/auth"
    authbridge_client = "prosody"
    authbridge_secret_file = "/etc/prosody/authbridge-secret"
    -- Logins with the site's cookie, from the site's pages alone.
    authbridge_cookie = true
    authbridge_origins = { "https://www.example.org" }
