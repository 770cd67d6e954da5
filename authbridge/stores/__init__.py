"""Where tokens are kept: what was issued, used and revoked, and who was seen.

`ledger` is the way in; memory, sqlite and redis are the stores behind it, of one contract
(`operations`).
"""
