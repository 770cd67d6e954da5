"""Where temporary tokens are issued, and tokens of all kinds are listed, introspected and revoked:
for the programs that call `listen.http`, and for our own commands.

Whoever asks has a grant (`grants`), and gets nothing beyond it. Each token that is issued or
revoked, and each that is not, has one line in the log (`office`).
"""
