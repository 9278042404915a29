"""HTTP on the client port: what ZooKeeper's REST gateway promises (SPEC.txt, ZNodeResource, zkrest.py)."""

from __future__ import annotations

from base64 import b64encode

import pytest

from .client import OCTETS, Rest

STAT = [
    "czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeralOwner", "dataLength",
    "numChildren", "pzxid",
]  # fmt: skip


class TestGet:
    def test_data_in_base64_with_the_stat_flat(self, rest: Rest, top: str) -> None:
        rest.create(f"{top}/a", b"\x00\xff")
        answer = rest.get(f"{top}/a")
        assert answer.status == 200
        told = answer.json
        assert list(told) == ["path", "uri", "data64", *STAT]
        assert (told["path"], told["uri"]) == (f"{top}/a", f"{rest.base}/znodes/v1{top}/a")
        assert told["data64"] == b64encode(b"\x00\xff").decode()
        assert (told["version"], told["dataLength"], told["ephemeralOwner"]) == (0, 2, 0)
        assert told["czxid"] == told["mzxid"] == answer.zxid

    def test_data_as_text(self, rest: Rest, top: str) -> None:
        rest.create(f"{top}/a", 'é"\n'.encode())
        told = rest.get(f"{top}/a?dataformat=utf8").json
        assert told["dataUtf8"] == 'é"\n'
        assert "data64" not in told

    def test_data_that_are_no_text_are_shown_as_well_as_can_be(self, rest: Rest, top: str) -> None:
        rest.create(f"{top}/a", b"a\xff")
        assert rest.get(f"{top}/a?dataformat=utf8").json["dataUtf8"] == "a\N{REPLACEMENT CHARACTER}"

    def test_data_as_they_are(self, rest: Rest, top: str) -> None:
        rest.create(f"{top}/a", b"\x00\xff")
        answer = rest.get(f"{top}/a", accept="application/octet-stream")
        assert (answer.status, answer.body) == (200, b"\x00\xff")
        assert answer.headers["content-type"] == "application/octet-stream"

    def test_no_data_are_not_empty_data(self, rest: Rest, top: str) -> None:
        rest.create(f"{top}/empty")
        assert rest.post(f"{top}?op=create&name=none&null=true", b"ignored").status == 201
        assert rest.get(f"{top}/empty").json["data64"] == ""
        assert "data64" not in rest.get(f"{top}/none").json
        assert "dataUtf8" not in rest.get(f"{top}/none?dataformat=utf8").json
        octets = {"accept": "application/octet-stream"}
        assert rest.get(f"{top}/empty", **octets)[::2] == (200, b"")
        assert rest.get(f"{top}/none", **octets)[::2] == (204, b"")

    def test_children(self, rest: Rest, top: str) -> None:
        rest.create(f"{top}/a")
        uri = f"{rest.base}/znodes/v1{top}"
        assert rest.get(f"{top}?view=children").json == {
            "path": top, "uri": uri, "child_uri_template": f"{uri}/{{child}}", "children": ["a"],
        }  # fmt: skip
        rest.create(f"{top}/b")
        assert sorted(rest.get(f"{top}?view=children").json["children"]) == ["a", "b"]

    def test_the_root_s_children(self, rest: Rest) -> None:
        told = rest.get("/?view=children").json
        assert told["path"] == "/"
        assert told["child_uri_template"] == f"{rest.base}/znodes/v1/{{child}}"
        assert "zookeeper" in told["children"]

    def test_what_is_not_there(self, rest: Rest, top: str) -> None:
        answer = rest.get(f"{top}/a?view=children")
        assert (answer.status, answer.json) == (
            404,
            {"request": f"GET /znodes/v1{top}/a?view=children", "message": f"{top}/a not found"},
        )
        assert rest.get(f"{top}/a").status == 404

    def test_an_error_for_who_wants_octets_is_a_text(self, rest: Rest, top: str) -> None:
        answer = rest.get(f"{top}/a", accept="application/octet-stream")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.body.decode() == f"Request GET /znodes/v1{top}/a failed due to {top}/a not found"

    @pytest.mark.parametrize(
        "query", ["view=stat", "dataformat=hex", "sync=1", "view=events&recursive=yes", "view=data&view=data"]
    )
    def test_parameters_that_mean_nothing(self, rest: Rest, query: str) -> None:
        assert rest.get(f"/?{query}").status == 400

    def test_sync_before_a_read(self, rest: Rest, top: str) -> None:
        assert rest.get(f"{top}?sync=true").status == 200
        assert rest.ask("HEAD", f"/znodes/v1{top}?sync=true").status == 200


class TestHead:
    def test_whether_it_is_there(self, rest: Rest, top: str) -> None:
        answer = rest.ask("HEAD", f"/znodes/v1{top}")
        assert (answer.status, answer.body) == (200, b"")
        accept = {"Accept": "application/octet-stream"}
        assert rest.ask("HEAD", f"/znodes/v1{top}", None, accept).status == 204
        assert rest.ask("HEAD", f"/znodes/v1{top}/a").status == 404

    def test_it_tells_no_length_as_that_would_be_a_get_s(self, rest: Rest, top: str) -> None:
        for target in (f"/znodes/v1{top}", f"/znodes/v1{top}/a", "/openapi.json"):
            answer = rest.ask("HEAD", target)
            assert ("content-length" in answer.headers, answer.body) == (False, b"")


class TestPut:
    def test_it_sets_and_tells_the_stat(self, rest: Rest, top: str) -> None:
        answer = rest.put(top, b"new")
        assert answer.status == 200
        assert list(answer.json) == ["path", "uri", *STAT]
        assert answer.json["mzxid"] == answer.zxid
        assert answer.json["version"] == 1
        assert rest.get(top, accept="application/octet-stream").body == b"new"

    def test_it_tells_nothing_to_who_wants_octets(self, rest: Rest, top: str) -> None:
        answer = rest.put(top, b"new", OCTETS | {"Accept": "application/octet-stream"})
        assert (answer.status, answer.body) == (204, b"")

    def test_a_version_that_fits(self, rest: Rest, top: str) -> None:
        assert rest.put(f"{top}?version=0", b"1").status == 200
        assert rest.put(f"{top}?version=-1", b"2").status == 200

    def test_a_version_that_does_not(self, rest: Rest, top: str) -> None:
        answer = rest.put(f"{top}?version=3", b"1")
        assert (answer.status, answer.json["message"]) == (412, f"{top} bad version")

    @pytest.mark.parametrize("version", ["x", "", "1.0", "4294967296", "9" * 30])
    def test_a_version_that_is_none(self, rest: Rest, top: str, version: str) -> None:
        assert rest.put(f"{top}?version={version}", b"1").status == 400

    def test_null(self, rest: Rest, top: str) -> None:
        rest.put(top, b"1")
        assert rest.put(f"{top}?null=true", b"").status == 200
        assert "data64" not in rest.get(top).json

    def test_what_is_not_there(self, rest: Rest, top: str) -> None:
        assert rest.put(f"{top}/a", b"").status == 404

    def test_without_a_type_it_is_octets(self, rest: Rest, top: str) -> None:
        assert rest.put(top, b"1", {}).status == 200

    def test_a_body_in_chunks(self, rest: Rest, top: str) -> None:
        chunked = OCTETS | {"Transfer-Encoding": "chunked"}
        body = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        assert rest.put(top, body, chunked).status == 200
        assert rest.get(top, accept="application/octet-stream").body == b"abc"


class TestCreate:
    def test_it_tells_the_path_and_leads_there(self, rest: Rest, top: str) -> None:
        answer = rest.post(f"{top}?op=create&name=a", b"data")
        assert answer.status == 201
        assert answer.json == {"path": f"{top}/a", "uri": f"{rest.base}/znodes/v1{top}"}
        assert answer.headers["location"] == f"{rest.base}/znodes/v1{top}/a"
        assert rest.get(f"{top}/a?dataformat=utf8").json["dataUtf8"] == "data"

    def test_op_may_be_left_out(self, rest: Rest, top: str) -> None:
        assert rest.post(f"{top}?name=a").status == 201

    def test_who_wants_octets_gets_the_path(self, rest: Rest, top: str) -> None:
        answer = rest.post(f"{top}?op=create&name=a", b"", OCTETS | {"Accept": "application/octet-stream"})
        assert (answer.status, answer.body) == (201, f"{top}/a".encode())

    def test_in_the_root(self, rest: Rest, top: str) -> None:
        name = f"{top[1:]}-below-the-root"
        assert rest.post(f"/?op=create&name={name}").json["path"] == f"/{name}"

    def test_names_are_percent_encoded(self, rest: Rest, top: str) -> None:
        answer = rest.post(f"{top}?op=create&name=foo%20b%C3%A4r%3F")
        assert answer.json["path"] == f"{top}/foo bär?"
        assert answer.headers["location"].endswith(f"{top}/foo%20b%C3%A4r%3F")
        assert rest.get(f"{top}/foo%20b%c3%a4r%3f").json["path"] == f"{top}/foo bär?"
        assert rest.get(f"{top}?view=children").json["children"] == ["foo bär?"]

    def test_a_sequence(self, rest: Rest, top: str) -> None:
        paths = [rest.post(f"{top}?op=create&name=a-&sequence=true").json["path"] for _ in range(2)]
        assert paths == [f"{top}/a-0000000000", f"{top}/a-0000000001"]

    def test_a_sequence_of_bare_numbers(self, rest: Rest, top: str) -> None:
        assert rest.post(f"{top}?op=create&name=&sequence=true").json["path"] == f"{top}/0000000000"

    def test_what_is_there(self, rest: Rest, top: str) -> None:
        rest.create(f"{top}/a")
        answer = rest.post(f"{top}?op=create&name=a")
        assert (answer.status, answer.json["message"]) == (409, f"{top}/a already exists")

    def test_below_nothing(self, rest: Rest, top: str) -> None:
        assert rest.post(f"{top}/a?op=create&name=b").status == 404

    def test_an_ephemeral_needs_a_session(self, rest: Rest, top: str) -> None:
        assert rest.post(f"{top}?op=create&name=a&ephemeral=true").status == 400

    def test_an_ephemeral(self, rest: Rest, top: str) -> None:
        session = rest.session()
        assert rest.post(f"{top}?op=create&name=a&ephemeral=true&session={session}").status == 201
        assert rest.get(f"{top}/a").json["ephemeralOwner"] != 0
        assert rest.post(f"{top}/a?op=create&name=b").status == 409

    def test_a_container(self, rest: Rest, top: str) -> None:
        assert rest.post(f"{top}?op=create&name=a&container=true").status == 201

    def test_with_a_time_to_live(self, rest: Rest, top: str) -> None:
        assert rest.post(f"{top}?op=create&name=a&ttl=60000").status == 201
        answer = rest.post(f"{top}?op=create&name=a&ttl=60000&sequence=true")
        assert answer.json["path"] == f"{top}/a0000000001"

    @pytest.mark.parametrize(
        "query",
        [
            "op=create",
            "op=make&name=a",
            "name=a&sequence=maybe",
            "name=a&ttl=0",
            "name=a&ttl=x",
            "name=a&ttl=1099511627776",
            "name=a&ttl=1&container=true",
            "name=a&sequence=true&container=true",
            "name=",
            "name=.",
            "name=%00",
            "name=%ff",
            "name=%zz",
            "name=a/../b",
            "name=a&name=b",
        ],
    )
    def test_what_can_t_be_made(self, rest: Rest, top: str, query: str) -> None:
        assert rest.post(f"{top}?{query}").status == 400
        assert rest.get(f"{top}?view=children").json["children"] == []


class TestDelete:
    def test_it_is_gone(self, rest: Rest, top: str) -> None:
        answer = rest.delete(top)
        assert (answer.status, answer.body) == (204, b"")
        assert rest.delete(top).status == 404

    def test_versions(self, rest: Rest, top: str) -> None:
        assert rest.delete(f"{top}?version=1").status == 412
        assert rest.delete(f"{top}?version=0").status == 204

    def test_not_with_children(self, rest: Rest, top: str) -> None:
        rest.create(f"{top}/a")
        answer = rest.delete(top)
        assert (answer.status, answer.json["message"]) == (409, f"{top} not empty")

    def test_not_the_root(self, rest: Rest) -> None:
        assert rest.delete("/").status == 400


class TestSessions:
    def test_a_session_is_a_uuid(self, rest: Rest) -> None:
        answer = rest.ask("POST", "/sessions/v1?op=create&expire=1")
        assert answer.status == 201
        assert len(answer.json["id"]) == 36
        assert answer.json["uri"] == f"{rest.base}/sessions/v1/{answer.json['id']}"
        assert answer.headers["location"] == answer.json["uri"]
        assert answer.json["expire"] == 1

    @pytest.mark.parametrize("target", ["/sessions/v1/?op=create", "/sessions/v1?op=create&expire=5"])
    def test_the_gateway_s_five_seconds(self, rest: Rest, target: str) -> None:
        # Twenty ticks, here two seconds, are the most that a server grants.
        assert rest.ask("POST", target).json["expire"] == 2

    @pytest.mark.parametrize("query", ["", "op=make", "op=create&expire=x", "op=create&expire=0"])
    def test_what_makes_none(self, rest: Rest, query: str) -> None:
        assert rest.ask("POST", f"/sessions/v1?{query}").status == 400

    def test_a_heartbeat(self, rest: Rest) -> None:
        answer = rest.ask("PUT", f"/sessions/v1/{rest.session()}", b"", OCTETS)
        assert (answer.status, answer.body) == (200, b"")

    def test_its_end_ends_its_ephemerals(self, rest: Rest, top: str) -> None:
        session = rest.session()
        rest.post(f"{top}?op=create&name=a&ephemeral=true&session={session}")
        assert rest.ask("DELETE", f"/sessions/v1/{session}").status == 204
        assert rest.get(f"{top}/a").status == 404
        assert rest.ask("DELETE", f"/sessions/v1/{session}").status == 204

    def test_a_dead_one(self, rest: Rest, top: str) -> None:
        session = rest.session()
        rest.ask("DELETE", f"/sessions/v1/{session}")
        assert rest.ask("PUT", f"/sessions/v1/{session}").status == 401
        assert rest.post(f"{top}?op=create&name=a&session={session}").status == 401
        assert rest.get(f"{top}?session={session}").status == 401

    def test_one_of_which_nothing_is_heard_expires(self, rest: Rest, top: str) -> None:
        session = rest.session(1)
        rest.post(f"{top}?op=create&name=a&ephemeral=true&session={session}")
        with rest.stream(f"{top}/a?view=events") as events:
            assert [event["type"] for event in (next(events), next(events))] == ["watching", "deleted"]
        assert rest.ask("PUT", f"/sessions/v1/{session}").status == 401

    def test_another_s_password_opens_nothing(self, rest: Rest) -> None:
        session = rest.session()
        forged = session[:-1] + ("0" if session[-1] != "0" else "1")
        assert rest.ask("PUT", f"/sessions/v1/{forged}").status == 401
        rest.ask("DELETE", f"/sessions/v1/{forged}")
        assert rest.ask("PUT", f"/sessions/v1/{session}").status == 200

    @pytest.mark.parametrize("text", ["x", "0" * 36, "00a1fed6-d149-4000-876a-bd8bcb5cdef5", "%ff"])
    def test_what_is_no_session(self, rest: Rest, text: str) -> None:
        assert rest.ask("PUT", f"/sessions/v1/{text}").status == 401


class TestElsewhere:
    @pytest.mark.parametrize(
        "target", ["/", "/znodes", "/znodes/v2/", "/znodes/v1a", "/sessions/v1a", "/%ff"]
    )
    def test_there_is_nothing(self, rest: Rest, target: str) -> None:
        answer = rest.ask("GET", target)
        assert (answer.status, answer.json["request"]) == (404, f"GET {target}")

    @pytest.mark.parametrize(
        ("method", "target", "allowed"),
        [
            ("PATCH", "/znodes/v1/", "GET, HEAD, PUT, POST, DELETE"),
            ("OPTIONS", "/znodes/v1/", "GET, HEAD, PUT, POST, DELETE"),
            ("GET", "/sessions/v1", "POST"),
            ("GET", "/sessions/v1/x", "PUT, DELETE"),
            ("PUT", "/openapi.json", "GET, HEAD"),
        ],
    )
    def test_other_methods(self, rest: Rest, method: str, target: str, allowed: str) -> None:
        answer = rest.ask(method, target)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)

    def test_every_answer_tells_the_zxid_and_no_version_of_what_serves_it(self, rest: Rest, top: str) -> None:
        before = rest.put(top, b"").zxid
        for target in ("/", f"/znodes/v1{top}", "/znodes/v1/nope", "/znodes/v1/?view=x", "/openapi.json"):
            answer = rest.ask("GET", target)
            assert answer.zxid >= before
            assert answer.headers["server"] == "znoded"
