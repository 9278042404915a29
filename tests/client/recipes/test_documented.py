"""What docs/recipes.md shows is what happens: every example of it."""

from __future__ import annotations

import asyncio
import re
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from znoded.client import Client, recipes

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("script", "said"), EXAMPLES, ids=[f"example {number}" for number in range(1, len(EXAMPLES) + 1)]
)
def test_an_example(script: str, said: str, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "__main__", "asyncio": asyncio, "timedelta": timedelta}
    if script.startswith(("import", "from")):  # whole
        exec(script.replace("127.0.0.1:2181", server), names)
    else:
        names |= vars(recipes)
        exec(f"async def example(client):\n{textwrap.indent(script, '    ')}", names)
        asyncio.run(framed(names["example"], server))
    assert capsys.readouterr().out == said


async def framed(example: object, server: str) -> None:
    assert callable(example)
    async with Client(server) as client:
        await example(client)


def test_every_recipe_is_told_of() -> None:
    assert all(f"`{name}" in PAGE for name in recipes.__all__)
