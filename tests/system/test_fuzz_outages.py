"""Some thousand generated frames, while slapd stops, hangs and is killed under them."""

from pathlib import Path

from ..fuzz.outages import Report, drive, finish, scene


def test_every_frame_has_its_one_answer_whatever_happens_to_the_directory(
    workspace: Path,
) -> None:
    """In order and the right one, or that of an outage where the directory is asked."""
    report = Report()
    sizes: list[list[tuple[int, int]]] = []
    with scene(workspace / "outages", 4, fair=2.0, foul=2.0, timeout="1s") as everything:
        drive(everything, report, 3000, 1, lambda: sizes.append(everything.sizes()))
        finish(everything)
    assert report.frames >= 3000
    assert report.decided > 0
    assert set(report.outages) >= {"stopped", "hanging", "killed"}
    # The connectors' descriptors. The daemon has connections to the directory, or not.
    assert {fds for size in sizes for _, fds in size[1:]} == {sizes[0][1][1]}
