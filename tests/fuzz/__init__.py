"""Generated traffic for the real programs: counts scaled down in `make test`, large by hand."""
