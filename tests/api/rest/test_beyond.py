"""What HTTP on the client port has beyond the gateway: CBOR, forms, multis, access control, users."""

from __future__ import annotations

import json
from base64 import b64encode

import cbor2
import pytest

from .client import CBOR, JSON, OCTETS, Rest

OPEN = [{"perms": "cdrwa", "scheme": "world", "id": "anyone"}]
MINE = [{"perms": "cdrwa", "scheme": "auth", "id": ""}]


def basic(user: str, password: str = "secret") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


class TestCbor:
    def test_a_znode(self, rest: Rest, top: str) -> None:
        rest.put(top, b"\x00\xff")
        by_json, by_cbor = rest.get(top).json, rest.get(top, accept="application/cbor").cbor
        assert by_cbor.pop("data") == b"\x00\xff"
        del by_json["data64"]
        assert by_cbor == by_json

    def test_what_comes_in(self, rest: Rest, top: str) -> None:
        assert rest.put(top, cbor2.dumps({"data": b"\x00"}), CBOR).cbor["version"] == 1
        assert rest.get(top, accept="application/octet-stream").body == b"\x00"
        assert rest.put(top, cbor2.dumps({"dataUtf8": "é"}), CBOR).status == 200
        assert rest.get(top, accept="application/octet-stream").body == "é".encode()

    def test_an_error(self, rest: Rest, top: str) -> None:
        answer = rest.get(f"{top}/a", accept="application/cbor")
        assert (answer.status, answer.cbor["message"]) == (404, f"{top}/a not found")

    def test_a_session(self, rest: Rest) -> None:
        answer = rest.ask("POST", "/sessions/v1?op=create", None, {"Accept": "application/cbor"})
        assert (answer.status, len(answer.cbor["id"])) == (201, 36)

    @pytest.mark.parametrize(
        "body", [b"", b"\x9f", b"\x81" * 50_000, b"\x9b" + b"\xff" * 8, b"\xc0\x60", cbor2.dumps([]), b"\xf7"]
    )
    def test_what_is_no_form(self, rest: Rest, top: str, body: bytes) -> None:
        assert rest.put(top, body, CBOR).status == 400


class TestAccept:
    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            ("*/*", "application/json"),
            ("application/*", "application/json"),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", "application/json"),
            ("application/json;q=0.5, application/cbor", "application/cbor"),
            ("application/octet-stream, */*;q=0.1", "application/octet-stream"),
            ("APPLICATION/CBOR; q=1", "application/cbor"),
        ],
    )
    def test_what_is_liked_best(self, rest: Rest, top: str, accept: str, content_type: str) -> None:
        assert rest.get(top, accept=accept).headers["content-type"] == content_type

    @pytest.mark.parametrize(
        "accept", ["text/html", "application/xml", "application/json;q=0", "", "*/*;q=x"]
    )
    def test_what_there_is_not(self, rest: Rest, top: str, accept: str) -> None:
        assert rest.get(top, accept=accept).status == 406


class TestForms:
    def test_text_base64_and_nothing(self, rest: Rest, top: str) -> None:
        for form, data in (({"dataUtf8": "ä"}, "ä".encode()), ({"data64": "AP8="}, b"\x00\xff")):
            assert rest.put(top, json.dumps(form).encode(), JSON).status == 200
            assert rest.get(top, accept="application/octet-stream").body == data
        for form in ({}, {"data64": None}):  # type: ignore[assignment]
            assert rest.put(top, json.dumps(form).encode(), JSON).status == 200
            assert "data64" not in rest.get(top).json

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff",
            b"[]",
            b"1",
            b"NaN",
            b'{"data64": "x"}',
            b'{"data64": 1}',
            b'{"data": "x"}',
            b'{"data64": "", "dataUtf8": ""}',
            b'{"dataUtf8": "\\ud800"}',
            b'{"datautf8": ""}',
            b"[" * 50_000,
            b'{"dataUtf8": ' + b"9" * 5_000 + b"}",
        ],
    )
    def test_what_is_none(self, rest: Rest, top: str, body: bytes) -> None:
        assert rest.put(top, body, JSON).status == 400

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"]
    )
    def test_other_types(self, rest: Rest, top: str, kind: str) -> None:
        assert rest.put(top, b"x", {"Content-Type": kind}).status == 415
        assert rest.post(f"{top}?name=a", b"x", {"Content-Type": kind}).status == 415


class TestMulti:
    def test_all_of_it(self, rest: Rest, top: str) -> None:
        answer = rest.multi(
            {"op": "check", "path": top, "version": 0},
            {"op": "create", "path": f"{top}/a", "dataUtf8": "a"},
            {"op": "create", "path": f"{top}/a/s-", "sequence": True},
            {"op": "set", "path": f"{top}/a", "data64": "Yg==", "version": 0},
            {"op": "create", "path": f"{top}/c", "container": True},
            {"op": "create", "path": f"{top}/t", "ttl": 60_000},
            {"op": "delete", "path": f"{top}/c"},
        )
        assert answer.status == 200
        done = answer.json
        assert [one["op"] for one in done] == ["check", *["create"] * 2, "set", *["create"] * 2, "delete"]
        assert done[0] == {"op": "check", "path": top, "uri": f"{rest.base}/znodes/v1{top}"}
        assert done[2]["path"] == f"{top}/a/s-0000000000"
        assert (done[3]["version"], done[3]["mzxid"]) == (1, answer.zxid)
        assert rest.get(f"{top}/a?dataformat=utf8").json["dataUtf8"] == "b"

    def test_or_nothing(self, rest: Rest, top: str) -> None:
        answer = rest.multi(
            {"op": "create", "path": f"{top}/a"},
            {"op": "delete", "path": f"{top}/b"},
            {"op": "set", "path": f"{top}/c"},
        )
        assert (answer.status, answer.json["message"], answer.json["operation"]) == (
            404,
            f"{top}/b not found",
            1,
        )
        assert rest.get(f"{top}/a").status == 404

    @pytest.mark.parametrize(
        ("operation", "status"),
        [
            ({"op": "create", "path": "{top}"}, 409),
            ({"op": "check", "path": "{top}", "version": 7}, 412),
            ({"op": "create", "path": "{top}/a", "ephemeral": True}, 400),
            ({"op": "create", "path": "{top}/a", "acl": []}, 400),
            ({"op": "create", "path": "{top}/a", "ttl": -1}, 400),
            ({"op": "create", "path": "{top}/../a"}, 400),
            ({"op": "create"}, 400),
            ({"op": "get", "path": "{top}"}, 400),
            ({"op": "delete", "path": "{top}", "versions": 1}, 400),
            ({"op": "delete", "path": "{top}", "version": 1 << 31}, 400),
            ({"op": "delete", "path": "{top}", "version": True}, 400),
            ({"op": "delete", "path": 1}, 400),
            ([], 400),
        ],
    )
    def test_what_fails(self, rest: Rest, top: str, operation: object, status: int) -> None:
        if isinstance(operation, dict) and isinstance(operation.get("path"), str):
            operation = operation | {"path": operation["path"].format(top=top)}
        assert rest.multi({"op": "set", "path": top}, operation).status == status
        assert rest.get(top).json["version"] == 0

    def test_nothing_to_do(self, rest: Rest) -> None:
        assert rest.multi().json == []

    def test_in_cbor(self, rest: Rest, top: str) -> None:
        body = cbor2.dumps([{"op": "create", "path": f"{top}/a", "data": b"\xff"}])
        assert rest.post("/?op=multi", body, CBOR).cbor[0]["path"] == f"{top}/a"

    def test_an_ephemeral_in_it(self, rest: Rest, top: str) -> None:
        body = json.dumps([{"op": "create", "path": f"{top}/a", "ephemeral": True}]).encode()
        assert rest.post(f"/?op=multi&session={rest.session()}", body, JSON).status == 200
        assert rest.get(f"{top}/a").json["ephemeralOwner"] != 0

    def test_what_is_no_list(self, rest: Rest, top: str) -> None:
        assert rest.post("/?op=multi", b"{}", JSON).status == 400
        assert rest.post("/?op=multi", b"[]", OCTETS).status == 415
        assert rest.post(f"{top}?op=multi", b"[]", JSON).status == 400


class TestUsers:
    @pytest.fixture
    def mine(self, rest: Rest, top: str) -> str:
        """A znode that is anna's alone."""
        body = json.dumps({"dataUtf8": "hers", "acl": MINE}).encode()
        assert rest.post(f"{top}?name=mine", body, JSON | basic("anna")).status == 201
        return f"{top}/mine"

    def test_its_owner_may(self, rest: Rest, mine: str) -> None:
        assert rest.get(mine, **basic("anna")).status == 200
        assert rest.put(mine, b"x", OCTETS | basic("anna")).status == 200

    @pytest.mark.parametrize("who", [{}, basic("bert"), basic("anna", "wrong")])
    def test_others_may_not(self, rest: Rest, mine: str, who: dict[str, str]) -> None:
        answer = rest.get(mine, **who)
        assert (answer.status, answer.json["message"]) == (401, f"{mine} not authorized")
        assert answer.headers["www-authenticate"] == 'Basic realm="znoded", charset="UTF-8"'
        assert rest.put(mine, b"x", OCTETS | who).status == 401

    def test_who_asks_next_on_a_connection_is_somebody_else(self, rest: Rest, mine: str) -> None:
        assert rest.get(mine, **basic("anna")).status == 200
        assert rest.get(mine).status == 401
        assert rest.get(mine, **basic("anna")).status == 200

    def test_the_super_user_may(self, rest: Rest, mine: str) -> None:
        assert rest.get(mine, **basic("super", "test")).status == 200

    @pytest.mark.parametrize(
        "text",
        ["Basic", "Basic !", "Basic YQ==", "Basic /zo=", "Bearer x", "x", f"Basic {'YWFh' * 1500}Og=="],
    )
    def test_what_proves_nothing(self, rest: Rest, top: str, text: str) -> None:
        assert rest.get(top, authorization=text).status == 400

    def test_lists_are_told_and_set(self, rest: Rest, top: str) -> None:
        told = rest.get(f"{top}?view=acl").json
        assert (told["path"], told["acl"], told["aversion"]) == (top, OPEN, 0)
        read_only = [{"perms": "ra", "scheme": "world", "id": "anyone"}]
        body = json.dumps({"acl": read_only}).encode()
        assert rest.put(f"{top}?view=acl&version=1", body, JSON).status == 412
        assert rest.put(f"{top}?view=acl&version=0", body, JSON).json["aversion"] == 1
        assert rest.get(f"{top}?view=acl").json["acl"] == [{"perms": "ra", "scheme": "world", "id": "anyone"}]
        assert rest.put(top, b"").status == 401

    @pytest.mark.parametrize(
        "acl",
        [
            None,
            1,
            [],
            [1],
            [{}],
            [{"perms": "x", "scheme": "world", "id": "anyone"}],
            [{"perms": "r", "scheme": "no", "id": ""}],
            [{"perms": "r", "scheme": "world", "id": "anyone", "more": 1}],
            MINE,
        ],
    )
    def test_lists_that_are_none(self, rest: Rest, top: str, acl: object) -> None:
        body = json.dumps({"acl": acl}).encode()
        assert rest.put(f"{top}?view=acl", body, JSON).status == 400
        assert rest.post(f"{top}?name=a", body, JSON).status == 400

    def test_a_list_is_not_set_with_data(self, rest: Rest, top: str) -> None:
        assert rest.put(top, json.dumps({"acl": OPEN}).encode(), JSON).status == 400
        assert rest.put(f"{top}?view=acl", b"", OCTETS).status == 415
        assert rest.put(f"{top}?view=acl", b"{}", JSON).status == 400
