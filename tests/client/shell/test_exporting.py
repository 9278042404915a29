"""`export` writes a subtree whole or not at all, and `import` makes it again, once."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from znoded.client import ADMIN, Acl, BlockingClient

from ...daemons import Daemon, until
from ..conftest import SETTINGS
from .processes import Process
from .terminal import Terminal
from .typed import Znode


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the shell keeps what it must remember."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "znode" / "imports"


@pytest.fixture
def shop(znode: Znode, server: str) -> str:
    """A small subtree."""
    with BlockingClient(server) as client:
        if client.exists("/shop") is None:
            client.create("/shop", b"open")
            client.create("/shop/a")
            client.create("/shop/a/binary", b"\xff\x00")
            client.create("/shop/b", "bün".encode())
    return "/shop"


@pytest.mark.parametrize("suffix", ["jsonl", "cbor"])
def test_there_and_back(znode: Znode, shop: str, tmp_path: Path, suffix: str, state: Path) -> None:
    file = tmp_path / f"shop.{suffix}"
    assert znode.said("export", shop, str(file)) == f"Exported 4 znodes with 10 B to {file}\n"
    assert (file.read_bytes()[:1] == b"{") == (suffix == "jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    copy = f"/made/of/{suffix}"
    assert znode.said("import", str(file), copy) == f"Imported 4 znodes to {copy}\n"
    assert znode.json("get", f"{copy}/a/binary")["data64"] == "/wA="
    assert znode.said("get", f"{copy}/b") == "bün\n"
    assert list(state.iterdir()) == []


def test_to_standard_output(znode: Znode, shop: str) -> None:
    result = znode("export", shop)
    assert (result.exit_code, result.stderr) == (0, "Exported 4 znodes with 10 B\n")
    assert [json.loads(line).get("path") for line in result.stdout.splitlines()] == [
        None,
        "",
        "a",
        "b",
        "a/binary",
        None,
    ]
    assert znode("export", "-f", "cbor", shop).stdout_bytes[:1] == b"\xa2"


def test_what_is_there_is_refused_or_updated_or_skipped(znode: Znode, shop: str, tmp_path: Path) -> None:
    file = str(tmp_path / "shop.jsonl")
    znode.said("export", shop, file)
    znode.said("import", file, "/again")
    znode.said("set", "/again/b", "mine")
    assert znode.failed("import", file, "/again") == (4, "Node already exists: /again")
    znode.said("delete", "/again/a/binary")
    assert znode.said("import", "--skip", file, "/again") == "Imported 1 znodes, skipped 3 to /again\n"
    assert znode.said("get", "/again/b") == "mine\n"
    assert znode.json("import", "--update", file, "/again") == {
        "path": "/again",
        "file": file,
        "made": 0,
        "updated": 4,
        "skipped": 0,
        "before": 0,
    }
    assert znode.said("get", "/again/b") == "bün\n"


def test_acls_if_asked(znode: Znode, server: str, tmp_path: Path) -> None:
    url = Znode(f"ws://me:secret@{server}")
    file = str(tmp_path / "own.jsonl")
    url.said("create", "/owned", "mine", "auth::cdrwa")
    url.said("create", "/owned/below", "mine", "auth::ra")
    assert znode.failed("export", "/owned", file) == (6, "Insufficient permission: /owned")
    assert list(tmp_path.glob("*jsonl*")) == []
    url.said("export", "--acl", "/owned", file)
    url.said("import", file, "/owned-too")
    assert url.said("getAcl", "/owned-too/below") == url.said("getAcl", "/owned/below")
    assert znode.failed("get", "/owned-too/below")[0] == 6
    url.said("setAcl", "/owned/below", "auth::r")  # whose hash is now hidden from itself
    assert url.failed("export", "--acl", "/owned", file) == (6, "Insufficient permission: /owned/below")
    znode.said("import", "--no-acl", file, "/owned-by-all")
    assert znode.said("get", "/owned-by-all/below") == "mine\n"


def test_ephemerals_are_left_out(znode: Znode, server: str, tmp_path: Path) -> None:
    with BlockingClient(server) as client:
        client.create("/mixed")
        client.create("/mixed/e", ephemeral=True)
        client.create("/mixed/p")
        assert znode.json("export", "/mixed", str(tmp_path / "mixed")) == {
            "path": "/mixed",
            "file": str(tmp_path / "mixed"),
            "znodes": 2,
            "bytes": 0,
            "ephemerals_left_out": 1,
        }


def test_all_that_there_is_goes_to_another_server(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, SETTINGS)
    daemon.start()
    try:
        whole = Znode("{}:{}".format(*daemon.address))
        whole.said("create", "/one", "1")
        whole.said("create", "/one/two", "2")
        file = tmp_path / "all.cbor"
        assert whole.said("export", "/", str(file)).startswith("Exported 3 znodes with 2 B")
        whole.said("deleteall", "/one")
        assert whole.said("import", str(file)) == "Imported 2 znodes, skipped 1 to /\n"
        assert whole.said("get", "/one/two") == "2\n"
        assert whole.failed("import", str(file)) == (4, "Node already exists: /one")
    finally:
        daemon.kill()


def test_a_file_that_is_cut_or_none_is_told(znode: Znode, shop: str, tmp_path: Path) -> None:
    file = tmp_path / "cut.jsonl"
    znode.said("export", shop, str(file))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:3]))
    assert znode.failed("import", str(file), "/cut") == (1, f"{file}, item 4: it ends too early")
    assert znode.failed("import", str(tmp_path / "none"))[0] == 2
    file.write_text('{"znode-export": 1, "root": "/x"}\n{"path": "../shop", "data": ""}\n{"end": 1}\n')
    assert znode.failed("import", str(file), "/cut2")[0] == 2


def test_an_export_that_fails_leaves_the_file_as_it_was(znode: Znode, server: str, tmp_path: Path) -> None:
    file = tmp_path / "half.jsonl"
    file.write_text("as it was")
    with BlockingClient(server) as client:
        client.create("/halved", bytes(500_000))
        client.create("/halved/a", bytes(500_000))
        client.create("/halved/a/closed", acl=[Acl(ADMIN, "world", "anyone")])
    assert znode.failed("export", "/halved", str(file)) == (6, "Insufficient permission: /halved/a/closed")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["half.jsonl"]
    assert file.read_text() == "as it was"


@pytest.mark.parametrize("mode", [(), ("--update",)])
def test_a_killed_import_goes_on_where_it_stopped(
    znode: Znode, server: str, tmp_path: Path, state: Path, mode: tuple[str, ...]
) -> None:
    file = tmp_path / "many.jsonl"
    root = f"/many{len(mode)}"
    lines = [{"path": "", "data": "root"}, *({"path": f"{n:04}", "data": str(n)} for n in range(3000))]
    file.write_text(
        "\n".join(map(json.dumps, [{"znode-export": 1, "root": root}, *lines, {"end": len(lines)}])) + "\n"
    )
    environment = {"XDG_STATE_HOME": str(state.parents[1])}
    with Process(server, "import", *mode, str(file), environment=environment) as importing:
        until(lambda: any(int(path.read_text() or 0) for path in state.glob("*[0-9a-f]")), "a batch")
        importing.signal(signal.SIGKILL)
        importing.wait()
    result = znode("import", *mode, str(file), options=("--json",))
    assert result.exit_code == 0, result.stderr
    assert "Going on behind " in result.stderr
    told = json.loads(result.stdout)
    assert told["before"] >= 64
    assert told["before"] + told["made"] + told["updated"] == 3001
    assert znode.json("getAllChildrenNumber", root)["number"] == 3000
    assert list(state.iterdir()) == []
    with BlockingClient(server) as client:
        assert client.get(f"{root}/2999").data == b"2999"
        assert client.get(f"{root}/0000").stat.version == 0


def test_it_begins_anew_if_what_was_made_is_gone(znode: Znode, tmp_path: Path, state: Path) -> None:
    file = tmp_path / "lost.jsonl"
    lines = [{"znode-export": 1, "root": "/lost"}, {"path": "", "data": ""}]
    lines += [{"path": str(number), "data": ""} for number in range(100)]
    file.write_text("\n".join(map(json.dumps, lines)))
    for _ in range(2):
        assert znode.failed("import", str(file)) == (1, f"{file}, item 103: it ends too early")
        assert len(list(state.iterdir())) == 1
        znode.said("deleteall", "/lost")


def test_a_bar_on_a_terminal(server: str, shop: str, tmp_path: Path) -> None:
    file = str(tmp_path / "shop.jsonl")
    with Terminal(tmp_path, "--server", server, "export", shop, file) as terminal:
        terminal.sees(f"Exporting {shop} ")
        terminal.sees("Exported 4 znodes")
        assert terminal.ends() == 0
