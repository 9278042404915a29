"""The OpenAPI description of HTTP on the client port."""

from __future__ import annotations

from typing import Final

DESCRIPTION: Final[dict[str, object]] = {"openapi": "3.1.0"}
