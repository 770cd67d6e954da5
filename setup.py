"""What is installed, and what it needs. Settings of the tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
init = (here / "authbridge" / "__init__.py").read_text(encoding="utf-8")
version = re.search(r'^__version__ = "([^"]+)"$', init, re.MULTILINE)
assert version is not None

setup(
    name="authbridge",
    version=version[1],
    description="The bridge between XMPP servers and the directories and websites of their users",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=[*find_packages(include=["authbridge", "authbridge.*"]), "twisted.plugins"],
    package_data={"authbridge": ["py.typed"]},
    # Not an entry point: it starts the interpreter isolated, and in a few milliseconds.
    scripts=["bin/authbridge-extauth"],
    entry_points={"console_scripts": ["authbridge = authbridge.cli.main:main"]},
    install_requires=[
        "twisted[tls] >= 26.4, < 27",  # 26.4 mends CVE-2026-42304; tls: pyOpenSSL, service-identity
        "cryptography >= 45, < 51",  # 45 brought PHC strings of argon2id
        "pyopenssl >= 25.3, < 27",  # twisted's TLS, which brings it; here for the verification
        "service-identity >= 24.1, < 27",
        "ldap3 >= 2.9.1, < 2.10",  # filters, DNs and result names, read once at start
        "redis >= 8.1, < 9",  # a state that several daemons share; loaded where that is configured
        "joserfc >= 1.6, < 2",  # signatures of JSON Web Tokens, JWK; read strictly by us
        "pyasn1 >= 0.5, < 0.7",  # of ldap3, which does not know 0.7
    ],
    extras_require={
        "sql": [  # kind = "sql" alone, and loaded where that is configured
            "sqlalchemy >= 2.1, < 2.2",
            "psycopg[binary] >= 3.2, < 4",
            "pymysql >= 1.2, < 2",  # it refuses a server that offers no TLS
            "libpass >= 1.9.3, < 2",  # passlib, maintained; the two below are its back ends
            "argon2-cffi >= 23.1, < 26",
            "bcrypt >= 4.1, < 6",
        ],
        "test": [
            "coverage[toml] >= 7.6, < 8",
            "django >= 5.2, < 7",  # of the recipes in docs/tokens.md, as is flask
            "flask >= 3.1, < 4",
            "h11 >= 0.14, < 1",
            "hypothesis >= 6.100, < 7",
            "import-linter >= 2.1, < 3",
            "jsonschema >= 4.18, < 5",
            "mypy >= 1.14, < 3",
            "mypy-zope >= 1.0.9, < 2",
            "openapi-spec-validator >= 0.7.1, < 1",
            "playwright >= 1.50, < 2",  # drives Debian's Chromium
            "pytest >= 8.3, < 10",
            "ruff >= 0.9, < 1",
            "types-ldap3 >= 2.9.13, < 3",
            "types-passlib >= 1.7.7, < 2",
            "types-pymysql >= 1.1, < 2",
            "websockets >= 13, < 18",
        ],
        "bench": [
            "aiohttp >= 3.11, < 4",
            "configargparse >= 1.5, < 2",  # of xmpp-cloud-auth, as is requests
            "pyjwt >= 2.10, < 3",
            "python-ldap >= 3.4, < 4",
            "requests >= 2.28, < 3",
        ],
    },
    zip_safe=False,
)
