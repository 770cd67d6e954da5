"""What every test shares."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A slow machine is no failure; and in CI the same examples every time.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "here")
