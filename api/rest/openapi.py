"""The OpenAPI 3.1 description of HTTP on the client port, served at /openapi.json. Tests hold it true."""

from __future__ import annotations

from typing import Final, TypeAlias

from ...storage.znode import MAX_TTL, STAT_NAMES

Json: TypeAlias = dict[str, object]

_INT32: Final[Json] = {"type": "integer", "minimum": -(1 << 31), "maximum": (1 << 31) - 1}
_INT64: Final[Json] = {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 63) - 1}
_TEXT: Final[Json] = {"type": "string"}
_FLAG: Final[Json] = {"type": "boolean", "default": False}
_STAT: Final[Json] = dict.fromkeys(STAT_NAMES, _INT64)
_PLACE: Final[Json] = {"path": _TEXT, "uri": {"type": "string", "format": "uri"}}
_DATA: Final[Json] = {
    "data64": {
        "type": ["string", "null"],
        "contentEncoding": "base64",
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        "description": "The data in base64.",
    },
    "dataUtf8": {"type": ["string", "null"], "description": "The data as text."},
}
_FORMS: Final = ("application/json", "application/cbor")

_FAULTS: Final = {
    "400": "The request is malformed: a path, a parameter, the body, the credentials.",
    "401": "The session is over, or the access control list does not allow this.",
    "403": "A page of another site asked for this.",
    "404": "There is no such znode, or no parent to make one below.",
    "405": "Another method.",
    "406": "No form of the answer is acceptable.",
    "408": "The body did not come in time.",
    "409": "It exists already, has children, is below an ephemeral, or exceeds a quota.",
    "412": "The version is another one.",
    "413": "The body is larger than jute.maxbuffer.",
    "415": "The body's type is not taken.",
    "429": "This address has too many sessions (maxClientCnxns).",
    "503": "No writes are taken for now; or the connection is given up: the message says what that means.",
}
_ALWAYS: Final = ("400", "403", "406", "503")


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _object(properties: Json, *required: str) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _query(name: str, schema: Json, description: str, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description, "required": required}


def _answer(description: str, schema: str | None = None, *kinds: str, **headers: str) -> Json:
    """A response; of that schema in JSON and CBOR, or as one of the other kinds."""
    answer: Json = {"description": description, "headers": {"Zxid": _ref("headers", "Zxid")}}
    for name, text in headers.items():
        schemas: Json = {"description": text, "schema": _TEXT, "required": True}
        answer["headers"] = {"Zxid": _ref("headers", "Zxid"), name: schemas}
    content: Json = {}
    if schema is not None:
        content |= {kind: {"schema": _ref("schemas", schema)} for kind in _FORMS}
    content |= {kind: {} for kind in kinds}
    if content:
        answer["content"] = content
    return answer


def _operation(
    name: str,
    summary: str,
    parameters: tuple[str, ...],
    responses: Json,
    faults: tuple[str, ...],
    *more: Json,
    body: Json | None = None,
) -> Json:
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "parameters": [*(_ref("parameters", one) for one in parameters), *more],
        "responses": responses | {code: _ref("responses", code) for code in sorted((*_ALWAYS, *faults))},
    }
    if body is not None:
        operation["requestBody"] = {"content": body}
    return operation


def _bodies(schema: str, *kinds: str) -> Json:
    return {kind: {} for kind in kinds} | {kind: {"schema": _ref("schemas", schema)} for kind in _FORMS}


_OCTETS: Final = "application/octet-stream"
_WRITE_FAULTS: Final = ("401", "404", "408", "409", "413", "415")

_GET: Final = _operation(
    "get",
    "A znode's data and Stat, its children, its access control list, or what happens to it from now on",
    ("session", "sync"),
    {
        "200": _answer("What was asked for.", "View", _OCTETS, "text/event-stream"),
        "204": _answer("As octets: there are no data, not even empty ones."),
    },
    ("401", "404"),
    _query(
        "view",
        {"enum": ["data", "children", "acl", "events"], "default": "data"},
        "events is a stream of server-sent events that ends when either side has enough.",
    ),
    _query("dataformat", {"enum": ["base64", "utf8"], "default": "base64"}, "How JSON has the data."),
    _query("recursive", _FLAG, "With view=events: of all znodes below this one, too."),
    {
        "name": "Last-Event-ID",
        "in": "header",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        "description": "With view=events: the id of the last event that was seen.",
    },
)
_HEAD: Final = _operation(
    "exists",
    "Whether a znode is there",
    ("session", "sync"),
    {"200": _answer("It is there."), "204": _answer("It is there, for who would take octets.")},
    ("401", "404"),
)
_PUT: Final = _operation(
    "set",
    "Set a znode's data, or its access control list",
    ("session", "version", "null"),
    {
        "200": _answer("Its Stat from now on.", "Changed"),
        "204": _answer("It is set, for who would take octets."),
    },
    (*_WRITE_FAULTS, "412"),
    _query("view", {"enum": ["data", "acl"], "default": "data"}, "What to set."),
    body=_bodies("Setting", _OCTETS),
)
_DELETE: Final = _operation(
    "delete",
    "Delete a znode that has no children",
    ("session", "version"),
    {"204": _answer("It is gone.")},
    ("401", "404", "409", "412"),
)
_CREATION: Final = (
    _query("name", _TEXT, "The new znode's name: needed for a create."),
    _query("sequence", _FLAG, "Whether a number of ten digits is put behind the name."),
    _query("ephemeral", _FLAG, "Whether it lives as long as the session, which must be given."),
    _query("container", _FLAG, "Whether it goes some time after its last child."),
    _query("ttl", {"type": "integer", "minimum": 1, "maximum": MAX_TTL}, "ms that it stays unchanged."),
)
_CREATED: Final = _answer(
    "Its path, and the URI that this was sent to.", "Place", _OCTETS, Location="The new znode's own URI."
)
_POST: Final = _operation(
    "create",
    "Create a znode below this one",
    ("session", "null"),
    {"201": _CREATED},
    _WRITE_FAULTS,
    _query("op", {"enum": ["create"], "default": "create"}, "What to do."),
    *_CREATION,
    body=_bodies("Creation", _OCTETS),
)
_POST_ROOT: Final = _operation(
    "multi",
    "Create a znode below the root; or, with op=multi, do a list of operations, all or none",
    ("session", "null"),
    {"200": _answer("What each operation came to.", "Results"), "201": _CREATED},
    (*_WRITE_FAULTS, "412"),
    _query("op", {"enum": ["create", "multi"], "default": "create"}, "What to do."),
    *_CREATION,
    body=_bodies("CreationOrMulti", _OCTETS),
)
_SESSIONS: Final = _operation(
    "createSession",
    "Begin a session, which lives as long as something is heard of it",
    (),
    {"201": _answer("The session.", "Session", Location="The session's URI.")},
    ("429",),
    _query("op", {"enum": ["create"]}, "What to do.", required=True),
    _query("expire", {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 5}, "Seconds."),
)
_HEARTBEAT: Final = _operation(
    "heartbeat", "Let a session live on", (), {"200": _answer("It lives.")}, ("401",)
)
_END: Final = _operation(
    "endSession", "End a session, and its ephemerals with it", (), {"204": _answer("It is over.")}, ()
)
_DESCRIBED: Final = _operation(
    "describe", "This description", (), {"200": _answer("OpenAPI 3.1.", None, "application/json")}, ()
)
_ID: Final[Json] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
    "description": "The session's id.",
}
_VERSION: Final = _INT32 | {"default": -1}
_CREATE: Final[Json] = _DATA | {
    "acl": _ref("schemas", "Acl"),
    "sequence": _FLAG,
    "ephemeral": _FLAG,
    "container": _FLAG,
    "ttl": {"type": "integer", "minimum": 0, "maximum": MAX_TTL, "default": 0},
}


def _part(op: Json, more: Json) -> Json:
    return _object({"op": op, "path": _TEXT} | more, "op", "path")


_SCHEMAS: Final[Json] = {
    "Error": _object(
        {"request": _TEXT, "message": _TEXT, "operation": {"type": "integer"}}, "request", "message"
    ),
    "Place": _object(_PLACE, *_PLACE),
    "View": {"oneOf": [_ref("schemas", name) for name in ("Node", "Children", "AclView")]},
    "Node": _object(_PLACE | _DATA | _STAT, *_PLACE, *_STAT),
    "Children": _object(
        _PLACE | {"child_uri_template": _TEXT, "children": {"type": "array", "items": _TEXT}},
        *_PLACE,
        "child_uri_template",
        "children",
    ),
    "AclView": _object(_PLACE | {"acl": _ref("schemas", "Acl")} | _STAT, *_PLACE, "acl", *_STAT),
    "Changed": _object(_PLACE | _STAT, *_PLACE, *_STAT),
    "Acl": {
        "type": "array",
        "items": _object(
            {
                "perms": {
                    "type": "string",
                    "pattern": "^[cdrwa]*$",
                    "description": "create, delete, read, write, admin",
                },
                "scheme": {"type": "string", "examples": ["world", "auth", "digest", "ip", "x509"]},
                "id": _TEXT,
            },
            "perms",
            "scheme",
            "id",
        ),
    },
    "Setting": _object(_DATA | {"acl": _ref("schemas", "Acl")}),
    "Creation": _object(_DATA | {"acl": _ref("schemas", "Acl")}),
    "CreationOrMulti": {"oneOf": [_ref("schemas", "Creation"), _ref("schemas", "Multi")]},
    "Multi": {
        "type": "array",
        "items": {
            "oneOf": [
                _part({"const": "create"}, _CREATE),
                _part({"const": "set"}, _DATA | {"version": _VERSION}),
                _part({"enum": ["delete", "check"]}, {"version": _VERSION}),
            ]
        },
    },
    "Results": {
        "type": "array",
        "items": _object(
            {"op": {"enum": ["create", "set", "delete", "check"]}} | _PLACE | _STAT, "op", *_PLACE
        ),
    },
    "Session": _object(
        {
            "id": {"type": "string", "format": "uuid"},
            "uri": {"type": "string", "format": "uri"},
            "expire": {"type": "number", "description": "Seconds, as granted."},
        },
        "id",
        "uri",
        "expire",
    ),
}

DESCRIPTION: Final[Json] = {
    "openapi": "3.1.0",
    "info": {
        "title": "znoded",
        "version": "1",
        "description": "The contract of ZooKeeper's REST gateway, and beyond: docs/http.md tells it in words."
        " In CBOR, `data` holds bytes where JSON has data64 or dataUtf8.",
        "license": {"name": "MIT", "identifier": "MIT"},
    },
    "servers": [{"url": "/"}],
    "security": [{}, {"basic": []}],
    "paths": {
        "/znodes/v1/": {"get": _GET | {"operationId": "getRoot"}, "post": _POST_ROOT},
        "/znodes/v1/{path}": {
            "parameters": [_ref("parameters", "path")],
            "get": _GET,
            "head": _HEAD,
            "put": _PUT,
            "post": _POST,
            "delete": _DELETE,
        },
        "/sessions/v1": {"post": _SESSIONS},
        "/sessions/v1/{id}": {"parameters": [_ID], "put": _HEARTBEAT, "delete": _END},
        "/openapi.json": {"get": _DESCRIBED},
    },
    "components": {
        "securitySchemes": {
            "basic": {
                "type": "http",
                "scheme": "basic",
                "description": "ZooKeeper's digest: user and password.",
            }
        },
        "headers": {
            "Zxid": {
                "description": "The last transaction that the answer reflects.",
                "schema": {"type": "string", "pattern": "^[0-9]+$"},
                "required": True,
            }
        },
        "parameters": {
            "path": {
                "name": "path",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": "The znode's path without its first slash; further slashes stand as they are.",
            },
            "session": _query("session", _TEXT, "A session's id: this counts as a sign of its life."),
            "sync": _query("sync", _FLAG, "Whether to read what had been acknowledged to anybody before."),
            "version": _query("version", _VERSION, "Only if this is the version; -1: whatever it is."),
            "null": _query("null", _FLAG, "No data rather than those of the body."),
        },
        "responses": {code: _answer(text, "Error", "text/plain") for code, text in _FAULTS.items()},
        "schemas": _SCHEMAS,
    },
}
