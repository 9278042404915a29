"""The words' texts, as a real ZooKeeper answered them, and the port that they come to."""

from __future__ import annotations

import asyncio
import re
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from znoded.api.admin import words
from znoded.api.admin.port import AdminPort, http
from znoded.api.admin.words import WORDS, answer, complete
from znoded.api.per_address import PerAddress
from znoded.storage.watches import DATA

from .test_commands import FakeConnection, FakeServer, Values


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    data, log = tmp_path / "data", tmp_path / "log"
    data.mkdir()
    log.mkdir()
    (data / "data.mdb").write_bytes(bytes(4096))
    (log / "1.log").write_bytes(bytes(300))
    return FakeServer(data, log)


async def chunks(
    server: FakeServer, word: bytes, rest: bytes = b"", allowed: Collection[bytes] = WORDS
) -> list[bytes]:
    return [chunk async for chunk in answer(word, rest, server, allowed)]


def ask(server: FakeServer, word: bytes, rest: bytes = b"", allowed: Collection[bytes] = WORDS) -> str:
    return b"".join(asyncio.run(chunks(server, word, rest, allowed))).decode()


def watch(server: FakeServer) -> None:
    for path, connection in (
        (b"/app/cfg", server.bert),
        (b"/app/cfg", server.anna),
        (b"/nope", server.bert),
    ):
        server.watches.add(path, connection, DATA)


# The texts


def test_conf(server: FakeServer) -> None:
    assert ask(server, b"conf") == (
        "clientPort=2181\n"
        "secureClientPort=-1\n"
        f"dataDir={server.data_dir}\n"
        "dataDirSize=4096\n"
        f"dataLogDir={server.log_dir}\n"
        "dataLogSize=300\n"
        "tickTime=2000\n"
        "maxClientCnxns=60\n"
        "minSessionTimeout=4000\n"
        "maxSessionTimeout=40000\n"
        "clientPortListenBacklog=-1\n"
        "serverId=0\n"
    )


def test_cons(server: FakeServer) -> None:
    assert ask(server, b"cons") == (
        " /127.0.0.1:34196[1](queued=0,recved=7,sent=8,sid=0x100000fa9050001,lop=CREA,est=1795253963338,"
        "to=20000,lcxid=0x6,lzxid=0x8,lresp=1056592,llat=0,minlat=0,avglat=1,maxlat=3)\n"
        " /127.0.0.1:34182[1](queued=0,recved=11,sent=12,sid=0x100000fa9050000,lop=GETD,est=1795253963327,"
        "to=10000,lcxid=0xa,lzxid=0x8,lresp=1056591,llat=1,minlat=0,avglat=1,maxlat=7)\n"
        " /127.0.0.1:34206[0](queued=0,recved=1,sent=0)\n"
        "\n"
    )


def test_cons_after_crst_has_no_lcxid(server: FakeServer) -> None:
    server.connections = [
        FakeConnection(
            packets_received=0, packets_sent=0, last_op=0, last_cxid=-1, last_zxid=-1, last_response=0,
            last_latency=0, max_latency=0, latency_total=0, latency_count=0,
        )
    ]  # fmt: skip
    assert ask(server, b"cons") == (
        " /127.0.0.1:34182[1](queued=0,recved=0,sent=0,sid=0x100000fa9050000,lop=NA,est=1795253963327,"
        "to=10000,lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,maxlat=0)\n"
        "\n"
    )


@contextmanager
def clock(monkeypatch: pytest.MonkeyPatch, zone: str) -> Iterator[None]:
    """1010 s by the monotonic clock are 2026-11-21 09:39:34 UTC."""
    monkeypatch.setattr(time, "time", lambda: 1_795_253_964.0)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_dump(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with clock(monkeypatch, "UTC"):
        text = ask(server, b"dump")
    assert text == (
        "SessionTracker dump:\n"
        "Session Sets (2)/(2):\n"
        "1 expire at Sat Nov 21 09:39:34 UTC 2026:\n"
        "\t0x100000fa9050000\n"
        "1 expire at Sat Nov 21 09:39:44 UTC 2026:\n"
        "\t0x100000fa9050001\n"
        "ephemeral nodes dump:\n"
        "Sessions with Ephemerals (2):\n"
        "0x100000fa9050000:\n"
        "\t/app/e1\n"
        "\t/app/e2\n"
        "0x100000fa9050001:\n"
        "\t/app/e3\n"
        "Connections dump:\n"
        "Connections Sets (3)/(3):\n"
        "1 expire at Sat Nov 21 09:39:24 UTC 2026:\n"
        "\tip: /127.0.0.1:34206 sessionId: 0x0\n"
        "1 expire at Sat Nov 21 09:39:34 UTC 2026:\n"
        "\tip: /127.0.0.1:34182 sessionId: 0x100000fa9050000\n"
        "1 expire at Sat Nov 21 09:39:44 UTC 2026:\n"
        "\tip: /127.0.0.1:34196 sessionId: 0x100000fa9050001\n"
    )


def test_dump_tells_the_time_of_the_server(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with clock(monkeypatch, "CET-1"):
        assert "1 expire at Sat Nov 21 10:39:34 CET 2026:\n" in ask(server, b"dump")


def test_envi(server: FakeServer) -> None:
    first, *lines = ask(server, b"envi").splitlines()
    assert first == "Environment:"
    assert [line.split("=")[0] for line in lines] == [
        "zookeeper.version", "host.name", "python.version", "python.implementation", "python.home",
        "os.name", "os.arch", "os.version", "user.name", "user.home", "user.dir",
    ]  # fmt: skip
    assert lines[0] == "zookeeper.version=3.9.3-znoded-0.1.0"


SRVR = (
    "Latency min/avg/max: 0/1.5556/7\n"
    "Received: 27\n"
    "Sent: 28\n"
    "Connections: 3\n"
    "Outstanding: 0\n"
    "Zxid: 0x8\n"
    "Mode: standalone\n"
    "Node count: 10\n"
)


def test_srvr(server: FakeServer) -> None:
    assert ask(server, b"srvr") == "Zookeeper version: 3.9.3-znoded-0.1.0\n" + SRVR


def test_srvr_before_the_first_request(server: FakeServer) -> None:
    server.summaries = {"readlatency": Values(), "updatelatency": Values()}
    assert "Latency min/avg/max: 0/0.0/0\n" in ask(server, b"srvr")


def test_srvr_says_when_it_is_read_only(server: FakeServer) -> None:
    server.mode = "read-only"
    lines = ask(server, b"srvr").splitlines()
    assert lines[1] == "READ-ONLY mode; serving only read-only clients"
    assert "Mode: read-only" in lines


def test_stat(server: FakeServer) -> None:
    assert (
        ask(server, b"stat")
        == (
            "Zookeeper version: 3.9.3-znoded-0.1.0\n"
            "Clients:\n"
            " /127.0.0.1:34196[1](queued=0,recved=7,sent=8)\n"
            " /127.0.0.1:34182[1](queued=0,recved=11,sent=12)\n"
            " /127.0.0.1:34206[0](queued=0,recved=1,sent=0)\n"
            "\n"
        )
        + SRVR
    )


def test_wchs(server: FakeServer) -> None:
    watch(server)
    assert ask(server, b"wchs") == "2 connections watching 2 paths\nTotal watches:3\n"


def test_wchc(server: FakeServer) -> None:
    watch(server)
    assert ask(server, b"wchc") == (
        "0x100000fa9050001\n"
        "\t/app/cfg\n"
        "\t/nope\n"
        "0x100000fa9050000\n"
        "\t/app/cfg\n"
        "\n"
    )  # fmt: skip


def test_wchp(server: FakeServer) -> None:
    watch(server)
    assert ask(server, b"wchp") == (
        "/app/cfg\n"
        "\t0x100000fa9050001\n"
        "\t0x100000fa9050000\n"
        "/nope\n"
        "\t0x100000fa9050001\n"
        "\n"
    )  # fmt: skip


def test_no_watches(server: FakeServer) -> None:
    assert ask(server, b"wchs") == "0 connections watching 0 paths\nTotal watches:0\n"
    assert ask(server, b"wchp") == ask(server, b"wchc") == "\n"


def test_mntr(server: FakeServer) -> None:
    lines = ask(server, b"mntr").splitlines()
    assert all(re.fullmatch(r"zk_[a-z0-9_]+\t\S+", line) for line in lines)
    values = dict(line.split("\t") for line in lines)
    assert list(values)[:2] == ["zk_version", "zk_server_state"]
    known = {
        "zk_version": "3.9.3-znoded-0.1.0",
        "zk_server_state": "standalone",
        "zk_ephemerals_count": "3",
        "zk_num_alive_connections": "3",
        "zk_avg_latency": "1.5556",
        "zk_min_latency": "0",
        "zk_max_latency": "7",
        "zk_outstanding_requests": "0",
        "zk_znode_count": "10",
        "zk_global_sessions": "3",
        "zk_local_sessions": "0",
        "zk_watch_count": "0",
        "zk_approximate_data_size": "184",
        "zk_packets_sent": "28",
        "zk_packets_received": "27",
        "zk_last_client_response_size": "93",
        "zk_min_client_response_size": "16",
        "zk_max_client_response_size": "93",
        "zk_connection_drop_probability": "0.0",
        "zk_auth_failed_count": "0",
        "zk_uptime": "30672",
        "zk_bytes_received_count": "806",
        "zk_avg_updatelatency": "2.5",
        "zk_cnt_readlatency": "5",
    }
    assert {name: values[name] for name in known} == known
    assert int(values["zk_max_file_descriptor_count"]) >= int(values["zk_open_file_descriptor_count"]) > 0


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (b"ruok", "imok"),
        (b"isro", "rw"),
        (b"crst", "Connection stats reset.\n"),
        (b"srst", "Server stats reset.\n"),
        (b"dirs", "datadir_size: 4096\nlogdir_size: 300\n"),
        (b"gtmk", "306"),
        (b"hash", ""),
    ],
)
def test_short_answers(server: FakeServer, word: bytes, text: str) -> None:
    assert ask(server, word) == text


def test_hash(server: FakeServer) -> None:
    server.digest_list = [(0x80, 13214775912), (0x100, 9844876303)]
    assert ask(server, b"hash") == "80: 13214775912\n100: 9844876303\n"


@pytest.mark.parametrize("mask", [2, 306, -2, 2**63 - 1])
def test_stmk_takes_eight_bytes(server: FakeServer, mask: int) -> None:
    assert ask(server, b"stmk", struct.pack(">q", mask) + b"\n") == str(mask)
    assert ask(server, b"gtmk") == str(mask)


def test_stmk_without_them_sets_nothing(server: FakeServer) -> None:
    text = ask(server, b"stmk", b"\0\0\n")
    assert text == "stmk takes the new trace mask behind it: 8 bytes, the highest first\n"
    assert server.trace_mask == 306


# What is not answered


@pytest.mark.parametrize("word", sorted(WORDS))
def test_without_a_majority(server: FakeServer, word: bytes) -> None:
    server.serving = False
    text = ask(server, word, bytes(8))
    shown = {b"ruok": "imok", b"isro": "null", b"gtmk": "306", b"stmk": "0"}
    if word == b"envi":
        assert text.startswith("Environment:\n")
    else:
        assert text == shown.get(word, "This ZooKeeper instance is not currently serving requests\n")


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_that_is_not_allowed_is_refused_and_does_nothing(server: FakeServer, word: bytes) -> None:
    text = ask(server, word, bytes(8), allowed=WORDS - {word})
    assert text == f"{word.decode()} is not executed because it is not in the whitelist.\n"
    assert server.resets == []
    assert server.trace_mask == 306


def test_there_are_eighteen_words() -> None:
    names = "conf cons crst dump envi ruok srst srvr stat wchs wchc wchp mntr isro dirs hash gtmk stmk"
    assert set(names.encode().split()) == WORDS


def test_when_a_word_is_complete() -> None:
    assert not complete(b"sta")
    assert complete(b"stat")
    assert not complete(b"stmk" + bytes(7))
    assert complete(b"stmk" + bytes(8))


# Slices


def crowd(server: FakeServer, size: int) -> None:
    for number in range(size):
        server.watches.add(b"/crowd/%07d" % number, server.anna, DATA)


def test_a_long_answer_lets_others_have_their_turn(server: FakeServer) -> None:
    crowd(server, 10_000)

    async def longest() -> tuple[int, int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.get_running_loop().create_task(others())
        longest = max(map(len, await chunks(server, b"wchp")))
        task.cancel()
        return longest, turns

    size, turns = asyncio.run(longest())
    assert turns >= 2 * 10_000 // words.STEPS
    assert size < 2 * words.SLICE


def test_what_changes_meanwhile_breaks_nothing(server: FakeServer) -> None:
    crowd(server, 10_000)

    async def dropped_meanwhile() -> list[bytes]:
        told = []
        async for chunk in answer(b"wchc", b"", server, WORDS):
            told.append(chunk)
            server.watches.drop(server.anna)
            server.watches.add(b"/new", server.bert, DATA)
        return told

    first, *rest = asyncio.run(dropped_meanwhile())
    assert first.startswith(b"0x100000fa9050000\n\t/crowd/0000000\n")
    assert len(b"".join(rest).splitlines()) < words.STEPS


def test_sessions_without_ephemerals_take_turns_too(server: FakeServer) -> None:
    server.owned.update({session: [] for session in range(10, 10 + 2 * words.STEPS)})
    asked: list[int] = []
    ephemerals = server.ephemerals
    server.ephemerals = lambda session: asked.append(session) or ephemerals(session)  # type: ignore

    async def first_turn() -> int:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chunks(server, b"dump"))
            await asyncio.sleep(0)
            return len(asked)

    assert 0 < asyncio.run(first_turn()) <= words.STEPS


# The admin port


class Port(AdminPort):
    """It says when a connection is over."""

    def __init__(self, server: FakeServer) -> None:
        super().__init__(server, http(server), PerAddress(0, "connections"))
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set_result(exc)


def watch_much(server: FakeServer) -> None:
    """Have a server hold more watches than a socket's buffers take: 20 MB of paths."""
    for number in range(5000):
        server.watches.add(b"/%04000d" % number, server.anna, DATA)


class Admin:
    """An admin port, and a client's connection to it from both sides."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    async def __aenter__(self) -> Admin:
        accepted: asyncio.Future[Port] = asyncio.get_running_loop().create_future()

        def port() -> Port:
            accepted.set_result(Port(self.server))
            return accepted.result()

        self.listener = await asyncio.get_running_loop().create_server(port, "127.0.0.1", 0)
        host, number = self.listener.sockets[0].getsockname()
        self.reader, self.writer = await asyncio.open_connection(host, number)
        self.port = await accepted
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        self.listener.close()


def test_a_word_by_nc(server: FakeServer) -> None:
    async def session() -> bytes:
        async with Admin(server) as admin:
            admin.writer.write(b"srvr\n")
            return await admin.reader.read()

    assert asyncio.run(session()).decode() == "Zookeeper version: 3.9.3-znoded-0.1.0\n" + SRVR


def test_a_client_that_says_that_it_has_said_all_is_answered(server: FakeServer) -> None:
    async def session() -> bytes:
        async with Admin(server) as admin:
            admin.writer.write(b"ruok\n")
            admin.writer.write_eof()
            return await admin.reader.read()

    assert asyncio.run(session()) == b"imok"


def test_a_word_in_pieces(server: FakeServer) -> None:
    async def session() -> bytes:
        async with Admin(server) as admin:
            for piece in (b"st", b"mk", struct.pack(">q", 42)[:7], b"\x2a"):
                admin.writer.write(piece)
                await admin.writer.drain()
                await asyncio.sleep(0)
            return await admin.reader.read()

    assert asyncio.run(session()) == b"42"
    assert server.trace_mask == 42


@pytest.mark.parametrize("start", [b"xxxx\n", b"hi\n", b"\xff\xf4\xff\xfd\x06", b"stat"[:3]])
def test_an_unknown_word_is_told_so(server: FakeServer, start: bytes) -> None:
    async def session() -> bytes:
        async with Admin(server) as admin:
            admin.writer.write(start)
            admin.writer.write_eof()
            return await admin.reader.read()

    text = asyncio.run(session()).decode()
    assert re.fullmatch(r"'.+' is not a word known here: conf cons .* wchs\n", text)


def test_silence_is_closed(server: FakeServer) -> None:
    async def session() -> bytes:
        async with Admin(server) as admin:
            admin.writer.write_eof()
            return await admin.reader.read()

    assert asyncio.run(session()) == b""


@pytest.mark.parametrize("start", [b"", b"sta", b"stmk" + bytes(7)])
def test_who_says_half_a_word_is_not_waited_for(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(words, "PATIENCE", 0.02)

    async def session() -> None:
        async with Admin(server) as admin:
            admin.writer.write(start)
            assert await admin.reader.read() == b""

    asyncio.run(session())


def test_a_flood_behind_the_word_is_dropped(server: FakeServer) -> None:
    async def session() -> bytes:
        async with Admin(server) as admin:
            admin.writer.write(b"ruok" + b"x" * 100_000)
            text = await admin.reader.readexactly(4)
            assert len(admin.port._start) == 12
            return text

    assert asyncio.run(session()) == b"imok"


def test_a_client_that_does_not_read_is_dropped_and_not_buffered_for(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "PATIENCE", 0.02)
    watch_much(server)

    async def session() -> None:
        async with Admin(server) as admin:
            admin.writer.transport.pause_reading()  # type: ignore[attr-defined]
            admin.writer.write(b"wchp")
            await admin.port.lost

    asyncio.run(session())


def test_a_client_that_leaves_ends_the_answer(server: FakeServer) -> None:
    watch_much(server)

    async def session() -> None:
        async with Admin(server) as admin:
            admin.writer.write(b"wchp")
            await admin.reader.readexactly(100_000)
            admin.writer.transport.abort()
            await admin.port.lost

    asyncio.run(session())


def test_a_fault_closes_the_connection_and_is_logged(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.summaries = {}

    async def session() -> bytes:
        async with Admin(server) as admin:
            admin.writer.write(b"srvr")
            return await admin.reader.read()

    assert asyncio.run(session()) == b""
    assert "no answer to b'srvr'" in caplog.text
