"""What docs/client.md shows is what happens: every example of it; and it tells of every name."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path

import pytest

import znoded.client
from znoded.client import Client

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("script", "said"), EXAMPLES, ids=[f"example {number}" for number in range(1, len(EXAMPLES) + 1)]
)
def test_an_example(script: str, said: str, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "__main__", "asyncio": asyncio}
    if script.startswith(("import", "from")):  # whole
        exec(script.replace("127.0.0.1:2181", server), names)
    else:
        names |= {name: getattr(znoded.client, name) for name in znoded.client.__all__}
        exec(f"async def example(client):\n{textwrap.indent(script, '    ')}", names)
        asyncio.run(framed(names["example"], f"{server}/documented"))
    assert capsys.readouterr().out == said


async def framed(example: object, server: str) -> None:
    assert callable(example)
    async with Client(server) as client:
        await client.ensure_path("/")
        await example(client)
        await client.delete("/", recursive=True)


def test_all_are_run() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") > 5


@pytest.mark.parametrize("name", znoded.client.__all__)
def test_every_name_is_told_of(name: str) -> None:
    assert re.search(rf"`(\w+\.)?{name}\b", PAGE)


@pytest.mark.parametrize(
    "name",
    [name for name in vars(Client) | vars(znoded.client.Transaction) if not name.startswith("_")],
)
def test_every_call_is_told_of(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)
