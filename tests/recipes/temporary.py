"""Which examples of docs/tokens.md are about temporary tokens and the state, by what only one of
them has in it; they are run in tests/system/test_temporary_documents.py."""

TOML = ('exists = "seen"', "180d", "single_use", "rediss://")
SH = (
    "client new website",
    "/tokens\n",
    "-X DELETE",
    "--temporary",
    "/introspect",
    "--jti",
)
PYTHON = ("def temporary_token", "devices = Blueprint")
PHP = ("function temporary_token",)
JS = ("exports.temporaryToken",)
