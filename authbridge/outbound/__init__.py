"""What we call by ourselves: never on a login's way."""
