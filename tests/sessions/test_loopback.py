"""A site of its own is asked over a real network: see `loopback`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sessions import loopback

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcomes():
    done = subprocess.run(
        [sys.executable, "-m", "tests.sessions.loopback"],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", loopback.CASES)
def test_a_real_site_tells_whose_session_it_is(outcomes, case):
    assert outcomes[case] == loopback.EXPECTED[case]
