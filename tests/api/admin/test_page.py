"""The live page's answers: bounded, read-only, and no more than anyone may read."""

from __future__ import annotations

import json
from configparser import ConfigParser
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_acl, make_digest_acl

from znoded.api.admin.page.data import Data
from znoded.api.admin.view import Interval, Sample
from znoded.daemon.view import View
from znoded.storage import ops
from znoded.storage.jute import INT, pack_buffer

from ...daemon.core import Clock, Core
from ...daemons import until
from .live import Json, Page, session_of

ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = ROOT / "api" / "admin" / "page"
FILES: Final = sorted(path for path in FOLDER.iterdir() if path.suffix not in (".py", ""))

TARGETS: Final = ["/", *(f"/page/{path.name}" for path in FILES if path.name != "index.html")]


class TestFiles:
    @pytest.mark.parametrize("target", TARGETS)
    def test_each_is_served_with_its_type_and_a_policy(self, page: Page, target: str) -> None:
        status, headers, body = page.ask(target)
        kinds = {"": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        assert (status, headers["Content-Type"]) == (200, f"{kinds[target.partition('.')[2]]}; charset=utf-8")
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
        assert body == (FOLDER / (Path(target).name or "index.html")).read_bytes()

    def test_none_names_another_site(self) -> None:
        for path in FILES:
            assert "://" not in path.read_text().replace("http://www.w3.org/2000/svg", ""), path

    def test_all_are_installed(self) -> None:
        setup = ConfigParser()
        setup.read(ROOT / "setup.cfg")
        patterns = setup["options.package_data"]["znoded.api.admin.page"].split()
        assert [path for path in FILES if not any(fnmatch(path.name, each) for each in patterns)] == []

    @pytest.mark.parametrize("target", ["/", "/page/page.js", "/live", "/tree", "/sessions", "/sessions/0x1"])
    def test_nothing_is_changed_here(self, page: Page, target: str) -> None:
        status, headers, body = page.ask(target, "POST")
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert json.loads(body) == {"error": f"{target} takes GET and HEAD, not POST"}

    def test_head_has_no_body(self, page: Page) -> None:
        status, headers, body = page.ask("/live", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 0


class TestLive:
    def test_it_tells_role_and_numbers(self, page: Page, client: KazooClient) -> None:
        live = page.get("/live")
        assert (live["mode"], live["serving"], live["sessions"]) == ("standalone", True, 1)

    def test_samples_come_by_themselves_and_those_known_are_left_out(self, page: Page) -> None:
        until(lambda: page.get("/live")["history"], "a sample")
        history = page.get("/live")["history"]
        assert isinstance(history, list)
        assert set(history[0]) == set(Sample._fields)
        assert set(history[0]["reads"]) == set(Interval._fields)
        later = page.get("/live", since=history[-1]["uptime"])["history"]
        assert isinstance(later, list)
        assert history[-1] not in later

    @pytest.mark.parametrize("since", ["x", "-2", "1" * 30, "1.5", "²"])
    def test_a_number_that_is_none_is_refused(self, page: Page, since: str) -> None:
        assert page.refused("/live", since=since)[0] == 400


class TestTree:
    def test_a_znode(self, page: Page, client: KazooClient) -> None:
        client.create("/plain", b"some text\n")
        znode = page.get("/tree", path="/plain")
        stat = client.exists("/plain")
        assert znode["path"] == "/plain"
        assert znode["stat"] == {
            "czxid": f"{stat.czxid:#x}", "mzxid": f"{stat.mzxid:#x}", "pzxid": f"{stat.pzxid:#x}",
            "ctime": stat.ctime, "mtime": stat.mtime, "version": 0, "cversion": 0, "aversion": 0,
            "ephemeral_owner": "0x0", "data_length": 10, "num_children": 0,
        }  # fmt: skip
        assert znode["acl"] == {
            "items": [{"perms": "cdrwa", "scheme": "world", "id": "anyone"}],
            "more": False,
        }
        assert (znode["data"], znode["owner"]) == ({"text": "some text\n", "more": False}, None)
        assert znode["watchers"] == {"items": [], "more": False}

    def test_who_owns_and_who_watches(self, page: Page, client: KazooClient) -> None:
        client.create("/owned", ephemeral=True)
        client.get("/owned", watch=print)
        client.get_children("/owned", watch=print)
        znode = page.get("/tree", path="/owned")
        mine = {"session": session_of(client), "address": znode["owner"]["address"]}  # type: ignore[index]
        assert znode["owner"] == mine
        assert str(mine["address"]).startswith("127.0.0.1:")
        assert znode["watchers"] == {
            "items": [
                {**mine, "kinds": ["data", "children"], "at": "/owned"},
            ],
            "more": False,
        }

    @pytest.mark.parametrize(("mode", "kind"), [(0, "persistent"), (1, "recursive")])
    def test_watches_that_stay(self, tmp_path: Path, mode: int, kind: str) -> None:
        core = Core(tmp_path, Clock(), {})
        ear = core.client()
        ear.ask(ops.ADD_WATCH, pack_buffer(b"/zookeeper") + INT.pack(mode))
        data = Data(View(core.server, tmp_path, ()))
        for path in (b"/zookeeper", b"/zookeeper/quota"):
            watchers = data.tree(path, b"", 1)["watchers"]
            told = {"session": f"{ear.session_id:#x}", "address": "127.0.0.1:1", "kinds": [kind]}
            fires = path == b"/zookeeper" or kind == "recursive"
            assert watchers == {"items": [{**told, "at": "/zookeeper"}] * fires, "more": False}

    def test_children_come_in_pages(self, page: Page, client: KazooClient) -> None:
        client.create("/many")
        names = [f"{number:04}" for number in range(250)]
        batch = client.transaction()
        for name in names:
            batch.create(f"/many/{name}")
        batch.commit()
        assert page.children("/many") == (names[:100], True)
        assert page.children("/many", after="0099", limit=150) == (names[100:], False)
        assert page.children("/many", after="0249") == ([], False)
        client.delete("/many/0001")
        assert page.children("/many", limit=2) == (["0000", "0002"], True)

    def test_a_page_ends_before_its_names_take_too_much(self, page: Page, client: KazooClient) -> None:
        client.create("/long")
        names = [letter * 200_000 for letter in "abc"]
        for name in names:
            client.create(f"/long/{name}")
        assert page.children("/long") == (names[:1], True)

    def test_children_are_told_with_what_they_have(self, page: Page, client: KazooClient) -> None:
        client.ensure_path("/family/parent/child")
        client.create("/family/temporary", ephemeral=True)
        children = page.get("/tree", path="/family")["children"]
        assert children == {
            "items": [
                {"name": "parent", "children": 1, "ephemeral": False},
                {"name": "temporary", "children": 0, "ephemeral": True},
            ],
            "more": False,
        }

    @pytest.mark.parametrize(
        ("path", "status", "said"),
        [
            ("/nowhere", 404, "there is no /nowhere"),
            ("relative", 400, "must start with /"),
            ("/a/../b", 400, "relative paths"),
            ("/a/", 400, "must not end"),
            ("/\0", 400, "invalid character"),
            ("", 400, "empty"),
        ],
    )
    def test_a_path_that_is_none_is_refused(self, page: Page, path: str, status: int, said: str) -> None:
        answered, error = page.refused("/tree", path=path)
        assert answered == status
        assert said in error

    def test_bytes_that_are_no_text_are_no_path(self, page: Page) -> None:
        assert page.refused("/tree?path=/%ff%fe")[0] in (400, 404)


class TestPreview:
    @pytest.mark.parametrize(
        ("data", "shown"),
        [
            (None, None),
            (b"", {"text": "", "more": False}),
            ("grüße\t1\n".encode(), {"text": "grüße\t1\n", "more": False}),
            (b"\xff\x00\x01", {"hex": "ff0001", "more": False}),
            (b"text\x00", {"hex": "7465787400", "more": False}),
            (b"x" * 5000, {"text": "x" * 4096, "more": True}),
            (b"x" * 4095 + "ü".encode(), {"text": "x" * 4095, "more": True}),
            (b"x" * 4095 + b"\xc3", {"hex": "78" * 512, "more": True}),
            (bytes(5000), {"hex": "00" * 512, "more": True}),
        ],
    )
    def test_of(self, page: Page, client: KazooClient, data: bytes | None, shown: Json | None) -> None:
        path = client.create("/preview-", data, sequence=True)
        assert page.get("/tree", path=path)["data"] == shown


class TestAcl:
    def test_what_not_anyone_may_read_is_not_shown(self, page: Page, client: KazooClient) -> None:
        acl = [make_digest_acl("anna", "pw", all=True), make_acl("ip", "127.0.0.1", read=True)]
        client.create("/secret", b"hunter2")
        client.create("/secret/hidden-name")
        client.set_acls("/secret", acl)
        znode = page.get("/tree", path="/secret")
        assert (znode["public"], znode["data"], znode["children"]) == (False, None, None)
        assert "hunter2" not in json.dumps(znode)
        assert "hidden-name" not in json.dumps(znode)
        # That it is there, its stat, and who may what without the hash, is.
        assert znode["acl"] == {
            "items": [
                {"perms": "cdrwa", "scheme": "digest", "id": "anna:x"},
                {"perms": "r", "scheme": "ip", "id": "127.0.0.1"},
            ],
            "more": False,
        }
        assert "secret" in page.children("/")[0]

    def test_anyone_who_may_write_may_not_read(self, page: Page, client: KazooClient) -> None:
        client.create("/drop", b"mail", acl=[make_acl("world", "anyone", write=True, create=True)])
        assert page.get("/tree", path="/drop")["public"] is False

    def test_without_acls_everything_is_shown(self, tmp_path: Path) -> None:
        page = Page(tmp_path, "skipACL=yes")
        client = KazooClient("{}:{}".format(*page.daemon.address))
        client.start()
        client.create("/secret", b"hunter2", acl=[make_digest_acl("anna", "pw", all=True)])
        assert page.get("/tree", path="/secret")["data"] == {"text": "hunter2", "more": False}
        client.stop()
        page.daemon.kill()


class TestSessions:
    def test_a_session_tells_what_it_owns_and_watches(self, page: Page) -> None:
        other = KazooClient("{}:{}".format(*page.daemon.address), timeout=9)
        other.start()
        for number in range(101):
            other.create(f"/of-other-{number:03}", ephemeral=True)
        other.get("/", watch=print)
        session = page.get(f"/sessions/{session_of(other)}")
        assert session["timeout"] == 9000
        assert session["owns"] == {"items": [f"/of-other-{number:03}" for number in range(100)], "more": True}
        assert session["watches"] == {"items": [{"path": "/", "kinds": ["data"]}], "more": False}
        gone = f"/sessions/{session_of(other)}"
        other.stop()
        assert page.refused(gone)[0] == 404

    @pytest.mark.parametrize("session", ["anna", "0x"])
    def test_an_id_that_is_none_is_refused(self, page: Page, session: str) -> None:
        assert page.refused(f"/sessions/{session}")[0] == 400

    def test_sessions_are_listed_in_pages(self, page: Page, client: KazooClient) -> None:
        other = KazooClient("{}:{}".format(*page.daemon.address))
        other.start()
        first, rest = page.get("/sessions", limit=1), page.get("/sessions", offset=1)
        assert (first["more"], rest["more"]) == (True, False)
        listed = [*first["items"], *rest["items"]]  # type: ignore[misc]
        assert [row["session"] for row in listed] == [session_of(client), session_of(other)]
        other.stop()
