"""Addresses of streams as they may be shown."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_address(spec: object) -> bool:
    """Whether this is an address ("rtsp://camera/1") rather than a path."""
    return "://" in str(spec)


def shown(address: str, *, key: bool = False) -> str:
    """The address without what may be a secret: user, password and query; with ``key`` its last part too.

    Whoever knows the last part of an RTMP address may broadcast under its owner's name.
    """
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2]
    path = parts.path
    if key and path.count("/") > 1:
        path = path[: path.rindex("/") + 1] + "..."
    return f"{parts.scheme}://{place}{path}"
