"""What others say, made fit for a terminal and a log."""


def printable(octets: bytes) -> str:
    """What a server says, without what would move a terminal's cursor."""
    text = octets.decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else " " for one in text)
