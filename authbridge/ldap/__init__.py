"""An LDAP client on Twisted for the login path: strict, bounded, verified, and never blocking."""
