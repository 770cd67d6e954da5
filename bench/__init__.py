"""`make bench`: what a login costs, beside peers that are measured in the same run.

The machine's noise is larger than most differences, so nothing here is an absolute figure: the
variants take turns, round after round, and a ratio is the median of the rounds' own ratios.
"""
