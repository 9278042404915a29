"""/sessions/v1: sessions without a connection, each a UUID that says it all: nothing is kept for it here.

The UUID (RFC 9562, version 8) holds the session's id, 64 bits, and the first 58 bits of its password.
"""

from __future__ import annotations

import hmac
import re
from typing import Final
from uuid import UUID

from ...storage import ops
from ...storage.session import Session
from .connection import Refused
from .exchange import Answer, Exchange, not_allowed
from .forms import Fault
from .requests import Ask

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_PROOF_BITS: Final = 58
_LOW: Final = 62
_MIDDLE: Final = 12
"""Bits below the UUID's variant, and between that and its version."""
_DEFAULT: Final = 5
"""Seconds: the gateway's."""
_MOST: Final = 1_000_000


def name(session: Session) -> str:
    """The UUID by which a session goes."""
    value = (session.id & (1 << 64) - 1) << _PROOF_BITS | _proof(session)
    low = value & (1 << _LOW) - 1
    middle = value >> _LOW & (1 << _MIDDLE) - 1
    return str(UUID(int=value >> _LOW + _MIDDLE << 80 | 8 << 76 | middle << 64 | 2 << _LOW | low))


def _proof(session: Session) -> int:
    return int.from_bytes(session.password[:8]) >> 64 - _PROOF_BITS


async def take_part(exchange: Exchange, text: str) -> bool:
    """The exchange is for that session from now on, which counts as a sign of life; False if it is over, or
    never was. One that is not known is looked up again behind all that was done elsewhere. Raises Fault,
    Lost."""
    if not _UUID.fullmatch(text.lower()):
        return False
    number = UUID(text).int
    value = (
        number >> 80 << _LOW + _MIDDLE
        | (number >> 64 & (1 << _MIDDLE) - 1) << _LOW
        | number & (1 << _LOW) - 1
    )
    session_id = value >> _PROOF_BITS
    if session_id >= 1 << 63:
        session_id -= 1 << 64
    proof = value & (1 << _PROOF_BITS) - 1
    client = exchange.incoming.client
    session = client.living(session_id)
    if session is None:
        await exchange.catch_up()
        session = client.living(session_id)
    if session is None or not hmac.compare_digest(proof.to_bytes(8), _proof(session).to_bytes(8)):
        return False
    client.touch(session_id)
    exchange.session = session_id
    return True


def dead(text: str) -> Fault:
    """What is said of a session that is over."""
    return Fault(
        401,
        f"{text[:64]} is no session, or one that is over",
        headers={"WWW-Authenticate": 'Session realm="znoded"'},
    )


async def serve(exchange: Exchange, rest: str) -> Answer:
    """What stands below /sessions/v1; raises Fault, Lost."""
    text = rest.removeprefix("/")
    match exchange.incoming.method, bool(text):
        case "POST", False:
            return await _begin(exchange)
        case "PUT", True:
            if not await take_part(exchange, text):
                raise dead(text)
            reply = await exchange.ask(Ask(ops.PING, b""), b"")
            return Answer(200, reply.zxid)
        case "DELETE", True:
            if await take_part(exchange, text):
                reply = await exchange.ask(Ask(ops.CLOSE_SESSION, b""), b"")
            else:
                reply = await exchange.ask(Ask(ops.PING, b""), b"")
            return Answer(204, reply.zxid)
    raise not_allowed(*(("PUT", "DELETE") if text else ("POST",)))


async def _begin(exchange: Exchange) -> Answer:
    exchange.text("op", "", "create")
    seconds = exchange.number("expire", _DEFAULT, 1, _MOST)
    await exchange.ask(Ask(ops.PING, b""), b"")  # not where nothing is served
    try:
        session = await exchange.incoming.client.begin(seconds * 1000)
    except Refused as refused:
        raise Fault(429, str(refused)) from refused
    await exchange.ask(Ask(ops.PING, b""), b"")
    uuid = name(session)
    uri = f"{exchange.base}/sessions/v1/{uuid}"
    told = {"id": uuid, "uri": uri, "expire": session.timeout / 1000}
    return exchange.answer(201, told, {"Location": uri})
