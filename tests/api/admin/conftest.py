"""A server whose live page is looked at, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient

from .live import Page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = Page(tmp_path_factory.mktemp("page"))
    yield page
    page.daemon.kill()


@pytest.fixture(scope="module")
def client(page: Page) -> Iterator[KazooClient]:
    client = KazooClient("{}:{}".format(*page.daemon.address))
    client.start()
    yield client
    client.stop()
