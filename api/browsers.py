"""Tells when a browser asks because a page of another site makes it.

Programs that are no browsers send none of the headers that are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SAFE: Final = ("GET", "HEAD")
_FRAMES: Final = ("embed", "frame", "iframe", "object")


def is_of_another_site(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a page that is not ours makes the browser ask. A link that is followed is the user's doing."""
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        followed = headers.get("Sec-Fetch-Mode") == "navigate"
        return method not in _SAFE or not followed or headers.get("Sec-Fetch-Dest") in _FRAMES
    origin = headers.get("Origin")
    return (
        method not in _SAFE
        and origin is not None
        and origin.partition("://")[2].lower() != headers.get("Host", "").lower()
    )
