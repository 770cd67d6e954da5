"""The site's settings. What differs from place to place is in the environment, secrets are in
files; there is no password of anybody, and none for the XMPP server."""

import os
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent.parent
# secret-key, db.sqlite3 and the collected static files. Only the site's own user may read it.
FOLDER = Path(os.environ.get("SITE_FOLDER", HERE / "data"))
# Where the site is called: one or more, with blanks between them.
ORIGINS = os.environ.get("SITE_ORIGINS", "https://www.example.org").split()

# --- the chat ---------------------------------------------------------------------------------

# The users of the site are alice@example.org and so on.
CHAT_DOMAIN = os.environ.get("CHAT_DOMAIN", "example.org")
# For the pages: addresses of the site's own origin, behind which nginx has the XMPP server …
CHAT_BOSH_URL = "/http-bind"
CHAT_WEBSOCKET_URL = "/xmpp-websocket"
# … and authbridge's `listen.web`.
CHAT_CREDENTIALS_URL = "/chat/credentials"
CHAT_PREBIND_URL = "/chat/prebind"

# For the back end: authbridge's `listen.http`, and who we are there.
AUTHBRIDGE_URL = os.environ.get("AUTHBRIDGE_URL", "http://127.0.0.1:9281")
AUTHBRIDGE_CLIENT = os.environ.get("AUTHBRIDGE_CLIENT", "django")
AUTHBRIDGE_SECRET_FILE = os.environ.get("AUTHBRIDGE_SECRET_FILE", FOLDER / "authbridge-secret")
# Seconds to wait for it while somebody waits for a page.
AUTHBRIDGE_TIMEOUT = 5
# Whether the tokens of a user who logs out are revoked. All of them: device passwords too, with
# which his telephone logs in, so this is only for sites that issue none.
AUTHBRIDGE_REVOKE_AT_LOGOUT = os.environ.get("AUTHBRIDGE_REVOKE_AT_LOGOUT") == "yes"

# What authbridge shows where it asks about passwords and users (chat/accounts.py). Without such a
# file it is answered to nobody.
CHAT_CHECK_SECRET_FILE = os.environ.get("CHAT_CHECK_SECRET_FILE", FOLDER / "check-secret")

# --- Django -----------------------------------------------------------------------------------

DEBUG = False
SECRET_KEY = (FOLDER / "secret-key").read_text(encoding="ascii").strip()
ROOT_URLCONF = "website.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "chat",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "chat.policy.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

# The proxy passes Host on as the browser sent it. authbridge, which asks at /whoami, sends the
# one that its configuration gives it.
ALLOWED_HOSTS = [urlsplit(origin).hostname for origin in ORIGINS]
CSRF_TRUSTED_ORIGINS = ORIGINS
# Sessions are kept here, not in the cookie: after a logout the cookie is nobody's.
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = all(o.startswith("https:") for o in ORIGINS)

STATIC_URL = "/static/"
STATIC_ROOT = FOLDER / "static"
STATICFILES_DIRS = [
    ("converse", HERE / "node_modules" / "converse.js" / "dist"),
    ("strophe", HERE / "node_modules" / "strophe.js" / "dist"),
]
