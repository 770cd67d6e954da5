"""authbridge: the bridge between XMPP servers and the authorities that know their users.

Nothing is imported here: the connector, a program that must start in milliseconds, passes through.
"""

__version__ = "0.1.0"
