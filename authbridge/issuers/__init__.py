"""Who signs tokens, for whom, and with which keys: the [issuers] of the configuration."""
