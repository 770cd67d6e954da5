"""Some thousand generated frames, while slapd stops, hangs and is killed under them."""

from pathlib import Path

from ..fuzz.outages import Report, drive, finish, scene

#: In each of these states somebody is to be told of an outage.
SEEN = {"stopped", "hanging", "killed"}


def test_every_frame_has_its_one_answer_whatever_happens_to_the_directory(
    workspace: Path,
) -> None:
    """In order and the right one, or that of an outage where the directory is asked."""
    report = Report()
    sizes: list[list[tuple[int, int]]] = []
    with scene(workspace / "outages", 4, fair=2.0, foul=2.0, timeout="1s") as everything:
        drive(everything, report, 3000, 1, lambda: sizes.append(everything.sizes()))
        # On a slow machine an outage may be over when its first answer comes.
        while not set(report.outages) >= SEEN and everything.weather.cycles < 20:
            drive(everything, report, report.frames + 1, everything.weather.cycles + 1)
        finish(everything)
    assert report.frames >= 3000
    assert report.decided > 0
    assert set(report.outages) >= SEEN
    # The connectors' descriptors. The daemon has connections to the directory, or not.
    assert {fds for size in sizes for _, fds in size[1:]} == {sizes[0][1][1]}
