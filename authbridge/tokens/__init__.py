"""Signed tokens: what stands in for a password, signed by a website and verified here.

Three forms: `jwt` (RFC 7519), `compact` (our own, for password fields) and `xcauth` (JSXC's). All
of it is pure: keys, octets and a given time go in; what the token says comes out, or `Refused`.
Who signs for whom is not known here (see `issuers`).
"""
