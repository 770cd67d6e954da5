"""The state in a SQLite file, on a disk that is full, read-only, or has lost it.

What must hold whatever happens: no token is accepted that could not be marked as used, none is
accepted twice, whoever shows none goes on, and all is well again without a restart.
"""

import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from .calls import NO, YES
from .daemon import write_private
from .mounts import mount_inside, seen_by, with_mount
from .token_node import (
    UNAVAILABLE,
    TokenNode,
    accepted,
    assert_others_go_on,
    assert_outage,
    wait_until_healed,
)

WELL = "well again, after"
GONE = "was removed or replaced while it was in use"


class FileNode(TokenNode):
    """A daemon with its state in a file, in a folder of its own."""

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.state = state or folder / "state" / "state.sqlite3"
        super().__init__(folder, str(self.state))

    def said_once(self, words: str) -> bool:
        """Whether the log has one line of the state with these words, and when that was."""
        (line,) = self.lines(words)
        return re.search(rf"^[0-9-]+T\S+Z .* state {self.state}: {words}", line) is not None


class MountNode(FileNode):
    """One for whom something is mounted on the folder of its file."""

    def __init__(self, folder: Path, mount: str) -> None:
        """`mount`: mount(8), but for the mount point, which is there."""
        super().__init__(folder)
        self._mount = f"{mount} {self.state.parent}"
        self.state.parent.mkdir(mode=0o700)
        # In a user namespace, whoever starts it is root.
        text = self.configuration.read_text().replace('users = ["', 'users = ["root", "')
        write_private(self.configuration, text.replace('"root", "root"', '"root"').encode())

    @property
    def command(self) -> list[str]:
        """See TokenNode."""
        return with_mount(self._mount, super().command)


class PowerlessNode(FileNode):
    """One whom the modes of files concern, root or not."""

    @property
    def command(self) -> list[str]:
        """See TokenNode."""
        if os.geteuid():
            return super().command
        return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *super().command]


@contextmanager
def ended(*nodes: FileNode) -> Iterator[None]:
    """Whatever becomes of them, they do not stay."""
    try:
        yield
    finally:
        for node in nodes:
            if node.running:
                node.kill()


class Disk(Protocol):
    """Where a daemon's file is."""

    #: What the log says when it is full.
    words: str

    @property
    def node(self) -> FileNode:
        """The daemon."""

    def fill(self) -> None:
        """No octet more goes there."""

    def make_room(self) -> None:
        """As before."""


class SmallDisk:
    """A file system with little room."""

    words = "the disk is full"

    def __init__(self, folder: Path) -> None:
        self.node = MountNode(folder, "mount -t tmpfs -o size=1m,mode=700 tmpfs")

    def _ballast(self) -> Path:
        return seen_by(self.node.process.pid, self.node.state.with_name("ballast"))

    def fill(self) -> None:
        """See Disk."""
        full = pytest.raises(OSError, match="No space left")
        with self._ballast().open("wb", buffering=0) as file, full:
            while True:
                file.write(bytes(512))

    def make_room(self) -> None:
        """See Disk."""
        self._ballast().unlink()


class Quota:
    """Files that cannot grow, by prlimit(2): it needs no right to mount."""

    words = "cannot be written to"

    def __init__(self, folder: Path) -> None:
        self.node = FileNode(folder)

    def _limit(self, size: int) -> None:
        pid = self.node.process.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))

    def fill(self) -> None:
        """See Disk."""
        size = self.node.state.with_name(self.node.state.name + "-wal").stat().st_size
        assert size > 4 * self.node.log.stat().st_size  # to which more is to be written
        self._limit(size)

    def make_room(self) -> None:
        """See Disk."""
        self._limit(resource.RLIM_INFINITY)


@pytest.mark.parametrize("kind", [SmallDisk, Quota])
def test_full_disk_accepts_nothing_and_heals(
    workspace: Path, kind: Callable[[Path], Disk], request: pytest.FixtureRequest
) -> None:
    """It is said once, and with room again all that was not accepted is good, once."""
    disk = kind(workspace / f"full-{request.node.callspec.id.lower()}")
    node = disk.node
    with ended(node):
        node.start()
        used, *others = node.issue(6)
        assert node.log_in(used) == YES
        disk.fill()
        assert_outage(node, *others[:3])
        assert node.said_once(disk.words)
        assert node.lines(WELL) == []
        disk.make_room()
        wait_until_healed(node)
        assert [accepted(node, token) for token in others] == [1] * len(others)
        assert accepted(node, used) == 0
        assert node.said_once(disk.words)
        assert len(node.lines(WELL)) == 1


def test_full_disk_still_tells_what_was_used(workspace: Path) -> None:
    """Only what would have to be written cannot be told."""
    disk = SmallDisk(workspace / "told")
    with ended(disk.node):
        disk.node.start()
        used, other = disk.node.issue(2)
        assert disk.node.log_in(used) == YES
        disk.fill()
        assert disk.node.log_in(other) == UNAVAILABLE
        assert disk.node.log_in(used) in (NO, UNAVAILABLE)


def test_read_only_file_system_is_waited_for(workspace: Path) -> None:
    """The daemon starts and says so; as soon as the file can be written to all is well."""
    folder = workspace / "read-only-state"
    state = folder / "state"
    node = MountNode(folder, f"mount --bind {state} {state} && mount -o remount,bind,ro")
    with ended(node):
        token, used = _leave_tokens(node)
        node.start()
        node.wait_for("cannot be locked: the file, or its file system, is read-only")
        assert_outage(node, token, used)
        mount_inside(node.process.pid, "-o", "remount,bind,rw", str(state))
        wait_until_healed(node)
        assert accepted(node, token) == 1
        assert accepted(node, used) == 0
        assert len(node.lines(WELL)) == 1


def _leave_tokens(node: FileNode) -> tuple[bytes, bytes]:
    """One that can be used and one that was, in the file of a node that is not running yet."""
    before = FileNode(node.folder.with_name(node.folder.name + "-before"), node.state)
    with ended(before):
        before.start()
        token, used = before.issue(2)
        assert before.log_in(used) == YES
        assert before.stop() == 0
    return token, used


def test_file_that_is_moved_away_is_missed_and_taken_back(workspace: Path) -> None:
    """It has every mark that was made; another is not made in its place."""
    node = FileNode(workspace / "moved")
    with ended(node):
        node.start()
        used, late, token = node.issue(3)
        assert node.log_in(used) == YES
        moved = node.state.with_name("elsewhere")
        node.state.rename(moved)
        first = node.log_in(late)  # before it is noticed, or behind that
        assert first in (YES, UNAVAILABLE)
        node.wait_for(GONE)
        assert_outage(node, used, late, token)
        assert not node.state.exists()
        moved.rename(node.state)
        wait_until_healed(node)
        assert [accepted(node, one) for one in (used, late, token)] == [0, first != YES, 1]
        assert len(node.lines(WELL)) == 1


def test_file_that_is_removed_takes_all_its_tokens_with_it(workspace: Path) -> None:
    """A new one is made at the next start alone, when somebody has looked; nothing old is good."""
    node = FileNode(workspace / "removed")
    with ended(node):
        node.start()
        used, token = node.issue(2)
        assert node.log_in(used) == YES
        node.state.unlink()
        node.wait_for(GONE)
        assert_outage(node, used, token)
        assert not node.state.exists()
        assert node.stop() == 0
        node.start()
        assert [accepted(node, one) for one in (used, token)] == [0, 0]
        assert accepted(node, node.issue(1)[0]) == 1


def test_folder_that_cannot_be_written_to_is_waited_for(workspace: Path) -> None:
    """At the start the file's log has to be made in it."""
    node = PowerlessNode(workspace / "closed-folder")
    with ended(node):
        token, used = _leave_tokens(node)
        node.state.parent.chmod(0o500)
        node.start()
        node.wait_for("cannot be written to")
        assert_outage(node, token, used)
        node.state.parent.chmod(0o700)
        wait_until_healed(node)
        assert [accepted(node, one) for one in (used, token)] == [0, 1]
        assert len(node.lines(WELL)) == 1


def test_folder_that_nothing_may_be_made_in_any_more_is_no_outage(workspace: Path) -> None:
    """All files are there already."""
    node = PowerlessNode(workspace / "closing-folder")
    with ended(node):
        node.start()
        token, used = node.issue(2)
        assert node.log_in(used) == YES
        node.state.parent.chmod(0o500)
        assert [accepted(node, one) for one in (used, token)] == [0, 1]
        assert accepted(node, node.issue(1)[0]) == 1
        assert_others_go_on(node)
        node.state.parent.chmod(0o700)


def test_second_daemon_does_not_get_the_file_of_a_running_one(workspace: Path) -> None:
    """It says why and ends; when the first was killed it has the file, and what was used is."""
    first = FileNode(workspace / "first")
    second = FileNode(workspace / "second", first.state)
    with ended(first, second):
        first.start()
        used, token = first.issue(2)
        assert first.log_in(used) == YES
        refused = second.try_to_start()
        assert refused.returncode == 3
        words = "is in use by another process; several daemons need Redis"
        assert f"authbridge: state {first.state}: {words}" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert accepted(first, first.issue(1)[0]) == 1
        first.kill()
        second.start()
        assert [accepted(second, one) for one in (used, token)] == [0, 1]
