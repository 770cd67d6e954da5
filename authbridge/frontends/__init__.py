"""What answers a protocol: a codec of `wire` on one side, the authenticator on the other."""
