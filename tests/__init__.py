"""Tests mirror the tree of `authbridge`; `system` has those against real servers."""
