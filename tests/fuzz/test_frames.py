"""20,000 generated frames: one right answer each, in order, through the real programs."""

from __future__ import annotations

import sys

from tests.fuzz.frames import PROGRAM, drive
from tests.test_daemon import RUN, Daemon


def test_every_frame_has_its_one_answer_from_the_connector_and_the_daemon():
    daemon = Daemon(RUN)
    try:
        for seed in range(4):
            drive([str(PROGRAM), "--socket", f"{daemon.folder}/extauth.sock"], 5_000, seed)
        daemon.stop()
        assert "traceback" not in daemon.log.read_text().lower()
    finally:
        daemon.remove()


def test_and_from_standalone():
    daemon = Daemon(RUN)  # for its folder and configuration
    try:
        command = [sys.executable, "-m", "authbridge.cli.standalone", "--config"]
        drive([*command, str(daemon.config)], 2_000, 7)
    finally:
        daemon.remove()
