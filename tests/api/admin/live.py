"""A daemon's live page, asked by a program."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlencode

from kazoo.client import KazooClient

from ...daemons import Daemon, free_port

Json: TypeAlias = dict[str, object]


class Page:
    """A daemon's admin port."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.daemon = Daemon(folder, f"{settings}\nadmin.serverPort={port}")
        self.daemon.start()

    def ask(self, target: str, method: str = "GET", /, **query: object) -> tuple[int, dict[str, str], bytes]:
        url = f"{self.url}{target}?{urlencode(query)}" if query else self.url + target
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=20) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def get(self, target: str, **query: object) -> Json:
        status, _, body = self.ask(target, **query)
        assert status == 200, body
        answer = json.loads(body)
        assert isinstance(answer, dict)
        return answer

    def refused(self, target: str, **query: object) -> tuple[int, str]:
        status, _, body = self.ask(target, **query)
        return status, json.loads(body)["error"]

    def children(self, path: str, **query: object) -> tuple[list[str], bool]:
        children = self.get("/tree", path=path, **query)["children"]
        assert isinstance(children, dict)
        return [child["name"] for child in children["items"]], children["more"]


def session_of(client: KazooClient) -> str:
    return f"{client.client_id[0]:#x}"
