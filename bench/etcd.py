"""Runs etcd, one server as it comes, so each write synced: znoded's REST is compared with its gateway."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode, b64encode
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from .servers import Contender

_PATIENCE: Final = 10.0


def _missing() -> str | None:
    if shutil.which("etcd"):
        return None
    return "etcd is not installed, so HTTP has nothing to compare with: apt-get install etcd-server"


def _command(directory: Path, port: int) -> list[str]:
    here = f"http://127.0.0.1:{port}"
    nobody = "http://127.0.0.1:0"  # any port will do: there are no peers
    return [
        *("etcd", "--data-dir", f"{directory / 'data'}", "--log-level", "error"),
        *("--listen-client-urls", here, "--advertise-client-urls", here, "--listen-peer-urls", nobody),
        *("--initial-advertise-peer-urls", nobody, "--initial-cluster", f"default={nobody}"),
    ]


def _ask(port: int, verb: str, path: str, body: str, patience: float) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, patience)
    try:
        connection.request(verb, path, body)
        answer = connection.getresponse()
        read = answer.read()
    except HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise ConnectionError(f"{answer.status} {answer.reason}")
    return read


def _read(port: int, key: bytes, patience: float) -> bytes:
    """Empty if there is no such key."""
    body = json.dumps({"key": b64encode(key).decode()})
    found = json.loads(_ask(port, "POST", "/v3/kv/range", body, patience)).get("kvs", [{}])
    return b64decode(found[0].get("value", ""))


def _version(port: int) -> str:
    return str(json.loads(_ask(port, "GET", "/version", "", _PATIENCE))["etcdserver"])


ETCD: Final = Contender("etcd", _command, _read, _version, _missing)
