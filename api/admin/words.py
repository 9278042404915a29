"""The four-letter words: text answers in ZooKeeper's shapes.

The shapes are those of org.apache.zookeeper.server.command and what it calls: monitoring scripts parse them.
"""

from __future__ import annotations

import asyncio
import logging
import re
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from time import localtime, strftime
from typing import Final, TypeAlias, TypeVar

from . import answers, commands
from .answers import Answer, Flat, Row
from .commands import Command, Refused
from .view import Scalar, ServerView

SLICE: Final = 64 * 1024
"""Characters of an answer that are put together before the event loop gets its turn."""

STEPS: Final = 2000
"""Lines that are, even if they are short or empty."""

PATIENCE: Final = 10.0
"""Seconds that the admin port waits for the rest of a word or request, and for a client to read."""

FULL: Final = (1, 0)
"""Bytes from which a transport counts as full, and down to which it has room again. Not 0 and 0: by uvloop's
TLS, a transport that holds nothing is full then."""

_log = logging.getLogger(__name__)
_A = TypeVar("_A", bound=Answer)
_Text: TypeAlias = Callable[[ServerView], Iterable[str]]
_MASK: Final = struct.Struct(">q")
_UNSIGNED: Final = (1 << 64) - 1

NOT_LISTED: Final = "is not executed because it is not in the whitelist."
"""Word for word ZooKeeper's."""

LONGEST: Final = 4 + _MASK.size
"""Bytes of a word, and of stmk's mask behind it."""


def complete(start: bytes) -> bool:
    """Whether nothing more belongs to the word with which a connection starts: stmk has 8 bytes behind it."""
    return len(start) >= (LONGEST if start[:4] == b"stmk" else 4)


def answer(
    word: bytes, rest: bytes, server: ServerView, allowed: Collection[bytes], why: str = NOT_LISTED
) -> AsyncGenerator[bytes, None]:
    """The whole answer to a word, in chunks; rest is what came behind it. why tells, after the word, what
    keeps those that are not allowed."""
    return chunks(_lines(word, rest, server, allowed, why))


async def chunks(lines: Iterable[str]) -> AsyncGenerator[bytes, None]:
    """Lines put together. After each chunk the event loop has its turn, so the next one may tell of a
    later state."""
    chunk: list[str] = []
    size = steps = 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        steps += 1
        if size >= SLICE or steps >= STEPS:
            if size:
                yield "".join(chunk).encode()
            chunk.clear()
            size = steps = 0
            await asyncio.sleep(0)
    if size:
        yield "".join(chunk).encode()


async def send(
    answered: AsyncIterator[bytes], transport: asyncio.WriteTransport, writable: asyncio.Event
) -> None:
    """Write chunks, each when the one before has gone out, and close. The protocol's pause_writing must
    clear writable, and resume_writing set it. A client that reads nothing for PATIENCE seconds is dropped."""
    transport.set_write_buffer_limits(*FULL)  # so that writable means: everything is out
    try:
        async for chunk in answered:
            transport.write(chunk)
            async with asyncio.timeout(PATIENCE):
                await writable.wait()
    except TimeoutError:
        _log.warning("%s does not read its answer: closed", transport.get_extra_info("peername"))
        transport.abort()
    finally:
        transport.close()


def _lines(
    word: bytes, rest: bytes, server: ServerView, allowed: Collection[bytes], why: str
) -> Iterator[str]:
    """Nothing is looked at before the first line is asked for: who sends them sees every error."""
    lines: Iterable[str]
    text = _TEXTS.get(word)
    try:
        if text is None:
            words = " ".join(sorted(known.decode() for known in WORDS))
            raise Refused(f"{word.decode(errors='backslashreplace')!r} is not a word known here: {words}")
        if word not in allowed:
            raise Refused(f"{word.decode()} {why}")
        lines = _set_mask(server, rest) if word == b"stmk" else text(server)
    except Refused as refused:
        lines = (f"{refused}\n",)
    yield from lines


def _text(command: Command[_A], render: Callable[[_A], Iterable[str]]) -> _Text:
    return lambda server: render(command(server))


def _set_mask(server: ServerView, rest: bytes) -> Iterable[str]:
    if len(rest) < _MASK.size:
        raise Refused("stmk takes the new trace mask behind it: 8 bytes, the highest first")
    return _mask(commands.stmk(server, {"traceMask": str(_MASK.unpack_from(rest)[0])}))


def _hex(number: Scalar) -> str:
    return f"0x{int(number) & _UNSIGNED:x}"


def _date(time: int) -> str:
    return strftime("%a %b %d %H:%M:%S %Z %Y", localtime(time / 1000))


def _conf(values: Flat) -> Iterator[str]:
    members = {name: value for name, value in values.items() if name.startswith("server.")}
    for name, value in values.items():
        if name not in members:
            yield f"{re.sub('_(.)', lambda match: match[1].upper(), name)}={value}\n"
    if members:
        yield "membership: \n"
        for name, value in members.items():
            yield f"{name}={value}\n"


def _envi(values: Flat) -> Iterator[str]:
    yield "Environment:\n"
    for name, value in values.items():
        yield f"{name}={value}\n"


def _mntr(values: Flat) -> Iterator[str]:
    for name, value in values.items():
        yield f"zk_{name}\t{value}\n"


def _dirs(values: Flat) -> Iterator[str]:
    for name, value in values.items():
        yield f"{name}: {value}\n"


def _mask(values: Flat) -> Iterator[str]:
    yield str(values["tracemask"])


def _isro(values: Flat) -> Iterator[str]:
    read_only = values["read_only"]
    yield "null" if read_only is None else "ro" if read_only else "rw"


def _wchs(values: Flat) -> Iterator[str]:
    yield f"{values['num_connections']} connections watching {values['num_paths']} paths\n"
    yield f"Total watches:{values['num_total_watches']}\n"


def _hash(answer: answers.Digests) -> Iterator[str]:
    for entry in answer.digests:
        if entry is None:
            yield ""
            continue
        zxid, digest = entry
        yield f"{zxid & _UNSIGNED:x}: {digest}\n"


def _brief(c: Row) -> str:
    return (
        f" /{c['remote_socket_address']}[{c['interest_ops']:x}](queued={c['outstanding_requests']}"
        f",recved={c['packets_received']},sent={c['packets_sent']}"
    )


def _full(c: Row) -> str:
    if not c["session_id"]:
        return _brief(c)
    lcxid = "" if c["last_cxid"] == -1 else f",lcxid={_hex(c['last_cxid'])}"
    return (
        f"{_brief(c)},sid={_hex(c['session_id'])},lop={c['last_operation']},est={c['established']}"
        f",to={c['session_timeout']}{lcxid},lzxid={_hex(c['last_zxid'])},lresp={c['last_response_time']}"
        f",llat={c['last_latency']},minlat={c['min_latency']},avglat={c['avg_latency']},maxlat={c['max_latency']}"
    )


def _cons(answer: answers.Connections) -> Iterator[str]:
    for connection in chain(answer.connections, answer.secure_connections):
        yield f"{_full(connection)})\n"
    yield "\n"


def _srvr(answer: answers.Srvr) -> Iterator[str]:
    yield f"Zookeeper version: {answer.version}\n"
    if answer.read_only:
        yield "READ-ONLY mode; serving only read-only clients\n"
    if isinstance(answer, answers.Stat):
        yield "Clients:\n"
        for connection in chain(answer.connections, answer.secure_connections):
            yield f"{_brief(connection)})\n"
        yield "\n"
    stats = answer.server_stats
    yield f"Latency min/avg/max: {stats['min_latency']}/{stats['avg_latency']}/{stats['max_latency']}\n"
    yield f"Received: {stats['packets_received']}\n"
    yield f"Sent: {stats['packets_sent']}\n"
    yield f"Connections: {stats['num_alive_client_connections']}\n"
    yield f"Outstanding: {stats['outstanding_requests']}\n"
    yield f"Zxid: {_hex(stats['last_processed_zxid'])}\n"
    yield f"Mode: {stats['server_state']}\n"
    yield f"Node count: {answer.node_count}\n"
    if answer.proposal_stats is not None:
        sizes = answer.proposal_stats
        last, smallest, largest = (sizes[f"{name}_buffer_size"] for name in ("last", "min", "max"))
        yield f"Proposal sizes last/min/max: {last}/{smallest}/{largest}\n"


def _counts(buckets: Sequence[tuple[int, Sequence[object]]]) -> str:
    return f"({len(buckets)})/({sum(len(elements) for _, elements in buckets)})"


def _expiring(time: int, elements: Sequence[str]) -> Iterator[str]:
    yield f"{len(elements)} expire at {_date(time)}:\n"
    for element in elements:
        yield f"\t{element}\n"


def _dump(answer: answers.Dump) -> Iterator[str]:
    yield "SessionTracker dump:\n"
    yield f"Session Sets {_counts(answer.expiry_time_to_session_ids)}:\n"
    for time, sessions in answer.expiry_time_to_session_ids:
        yield from _expiring(time, [_hex(session) for session in sessions])
    owners = 0
    for _, paths in answer.session_id_to_ephemeral_paths:
        owners += bool(paths)
        yield ""  # a step that may be followed by others' turn
    yield "ephemeral nodes dump:\n"
    yield f"Sessions with Ephemerals ({owners}):\n"
    for session, paths in answer.session_id_to_ephemeral_paths:
        if paths:
            yield f"{_hex(session)}:\n"
        for path in paths:
            yield f"\t{path}\n"
    connections = answer.expiry_time_to_connections
    yield "Connections dump:\n"
    yield f"Connections Sets {_counts(connections)}:\n"
    for time, clients in connections:
        yield from _expiring(time, [f"ip: /{address} sessionId: {_hex(sid)}" for address, sid in clients])


def _wchc(answer: answers.WatchesBySession) -> Iterator[str]:
    last = None
    for session, path in answer.session_id_to_watched_paths:
        if session != last:
            yield f"{_hex(session)}\n"
            last = session
        yield f"\t{path}\n"
    yield "\n"


def _wchp(answer: answers.WatchesByPath) -> Iterator[str]:
    last = None
    for path, session in answer.path_to_session_ids:
        if path != last:
            yield f"{path}\n"
            last = path
        yield f"\t{_hex(session)}\n"
    yield "\n"


_TEXTS: Final[dict[bytes, _Text]] = {
    b"conf": _text(commands.conf, _conf),
    b"cons": _text(commands.cons, _cons),
    b"crst": _text(commands.crst, lambda _: ("Connection stats reset.\n",)),
    b"dirs": _text(commands.dirs, _dirs),
    b"dump": _text(commands.dump, _dump),
    b"envi": _text(commands.envi, _envi),
    b"gtmk": _text(commands.gtmk, _mask),
    b"hash": _text(commands.hash_, _hash),
    b"isro": _text(commands.isro, _isro),
    b"mntr": _text(commands.mntr, _mntr),
    b"ruok": _text(commands.ruok, lambda _: ("imok",)),
    b"srst": _text(commands.srst, lambda _: ("Server stats reset.\n",)),
    b"srvr": _text(commands.srvr, _srvr),
    b"stat": _text(commands.stat, _srvr),
    b"stmk": _text(commands.gtmk, _mask),
    b"wchc": _text(commands.wchc, _wchc),
    b"wchp": _text(commands.wchp, _wchp),
    b"wchs": _text(commands.wchs, _wchs),
}

WORDS: Final = frozenset(_TEXTS)
"""Every word."""
