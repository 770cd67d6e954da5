"""Tests with the real servers: each starts what a user would start, on loopback, from nothing."""
