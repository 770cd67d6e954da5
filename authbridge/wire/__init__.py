"""Codecs of the front ends: bytes in, values out. One file a protocol; no Twisted, no I/O."""
