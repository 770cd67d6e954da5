"""Whether a Redis may keep tokens: one that forgets what was used lets it be used again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from redis.exceptions import ResponseError

from authbridge.stores.operations import StoreFault
from authbridge.stores.redis_link import Command, fault_of

QUESTIONS: tuple[Command, ...] = (
    (b"INFO",),
    (b"CONFIG", b"GET", b"appendfsync"),
    (b"CONFIG", b"GET", b"no-appendfsync-on-rewrite"),
)
"""What it is asked, and `judge` gets the replies to."""

# What INFO says, what it must say, and what is wrong otherwise.
_MUST = (
    ("server_mode", "standalone", "is a cluster or a Sentinel; what is needed is one server"),
    ("cluster_enabled", "0", "is a cluster; what is needed is one server"),
    ("role", "master", "is a replica; what is needed is its master"),
    (
        "maxmemory_policy",
        "noeviction",
        "may forget what was used when its memory is full; it needs maxmemory-policy noeviction",
    ),
    ("aof_enabled", "1", "may forget what was used when it is restarted; it needs appendonly yes"),
)


def judge(replies: Sequence[Any]) -> tuple[str, ...]:
    """What is worth a warning. Raises StoreFault where it must not be used."""
    info, fsync, on_rewrite = replies
    if isinstance(info, ResponseError):
        raise fault_of(info)
    said = _read_info(info)
    if "redis_mode" in said:  # Redis, and Valkey before 8
        said["server_mode"] = said["redis_mode"]
    for name, wanted, words in _MUST:
        if name not in said:
            raise StoreFault(f"does not tell its {name} (INFO)", lost=True, refused=True)
        if said[name] != wanted:
            raise StoreFault(words, lost=True, refused=True)
    when = _read_setting(fsync)
    if when == "no":
        words = "may forget what was used when its machine fails; it needs appendfsync always"
        raise StoreFault(words, lost=True, refused=True)
    return tuple(_warnings(said, when, _read_setting(on_rewrite)))


def _warnings(said: dict[str, str], when: str | None, on_rewrite: str | None) -> Iterator[str]:
    if when is None:
        yield "does not tell its appendfsync (CONFIG GET is forbidden); it should be always"
    if when == "everysec":
        yield (
            "has appendfsync everysec: when its machine fails, what was used in the last second "
            "can be used again; appendfsync always prevents that"
        )
    if on_rewrite == "yes":
        yield (
            "has no-appendfsync-on-rewrite yes: while it rewrites its file, nothing is sure to be "
            "on its disk"
        )
    if said.get("connected_slaves", "0") != "0":
        yield ("has replicas: when one takes over, what was used shortly before can be used again")


def _read_info(reply: bytes) -> dict[str, str]:
    lines = reply.decode("utf-8", "replace").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _read_setting(reply: Any) -> str | None:
    """None where it is not told: CONFIG is often forbidden, or renamed."""
    if isinstance(reply, ResponseError) or len(reply) != 2:
        return None
    return str(reply[1].decode("utf-8", "replace"))
