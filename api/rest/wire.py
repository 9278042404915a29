"""A whole answer in the bytes of HTTP/1.1, to go out in one write."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final

from .exchange import Answer

_NO_CONTENT: Final = 204
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


def written(answer: Answer, method: str, connection: str = "") -> bytes:
    """Head and body. connection: what is said of it, if anything."""
    body = answer.body
    head = [f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nZxid: {answer.zxid}\r\n"]
    if answer.kind:
        head.append(f"Content-Type: {answer.kind}\r\n")
    for name, value in answer.headers.items():
        head.append(f"{name}: {value}\r\n")
    is_head = method == "HEAD"
    if answer.status != _NO_CONTENT and not is_head:  # to HEAD, it would have to be GET's
        head.append(f"Content-Length: {len(body)}\r\n")
    if connection:
        head.append(f"Connection: {connection}\r\n")
    head.append(_end_of_head(int(time())))
    start = "".join(head).encode()
    return start if is_head else start + body


@lru_cache(maxsize=1)
def _end_of_head(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\nServer: znoded\r\n\r\n"
