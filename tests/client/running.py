"""Runs a test's scenario, and sees that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any


def run(scenario: Coroutine[object, object, None], within: float = 20) -> None:
    """Do it; fails if tasks go on afterwards, or an error was looked at by nobody."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        async with asyncio.timeout(within):
            await scenario
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            _, left = await asyncio.wait(left, timeout=1)  # a test's own server may have a last word
            assert not left
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(watched())
    assert not complaints, complaints
