"""Clients that mean harm, or are broken: they get an end or an error, and nobody else notices."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from ..daemons import Daemon, until
from ..zookeeper.raw import (
    Acl,
    Closed,
    Connection,
    Event,
    Granted,
    Item,
    Op,
    Reader,
    Reply,
    acls,
    blob,
    bool_,
    int_,
    long,
    text,
)
from .strangers import (
    MB,
    OPEN,
    Canary,
    ask,
    connected,
    create,
    framed,
    get,
    log_of,
    port_of,
    push,
    served,
    session,
    unharmed,
    word,
)

MAX_BUFFER = 0xFFFFF
PER_ADDRESS = 100
SETTINGS = f"""
tickTime=100
minSessionTimeout=200
maxClientCnxns={PER_ADDRESS}
globalOutstandingLimit=200
4lw.commands.whitelist=*
"""
IMPATIENT = """
from znoded.api import port, zookeeper
port.PATIENCE = zookeeper._PATIENCE = 1.0
"""
CONNECT = int_(0) + long(0) + int_(4000) + long(0) + blob(bytes(16)) + bool_(False)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    yield from unharmed(Daemon(tmp_path_factory.mktemp("hostile"), SETTINGS, IMPATIENT))


@pytest.fixture(autouse=True)
def canary(daemon: Daemon, record_property: Callable[[str, object], None]) -> Iterator[Canary]:
    """Is served all through a test, and after it."""
    yield from served(daemon, record_property)


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Connection]:
    """Somebody with a session."""
    connection = session(daemon.address)
    yield connection
    connection.drop()


class TestConnections:
    @pytest.mark.parametrize(
        "garbage",
        [
            b"\0" * 64,
            b"\xff" * 64,
            bytes(range(256)) * 40,
            b"FROB / HTTP/1.0\nForged: 2026-01-01T00:00:00.000+00:00 ERROR daemon.server: hacked\n\n",
            int_(44) + b"\x7f" * 44,
            int_(MAX_BUFFER + 1) + bytes(100),
            int_(-5) + CONNECT + bytes(20),
        ],
        ids=range(7),
    )
    def test_garbage_is_closed_and_logged_once(self, daemon: Daemon, garbage: bytes) -> None:
        connection = connected(daemon.address)
        connection.write(garbage)
        assert isinstance(connection.read(), Closed)
        assert len(log_of(daemon, port_of(connection))) == 1

    def test_silence_and_half_a_handshake_are_closed_and_logged_once(self, daemon: Daemon) -> None:
        starts = b"", int_(len(CONNECT))[:3], int_(len(CONNECT)), int_(len(CONNECT)) + CONNECT[:-1], b"stmk"
        stalled = [connected(daemon.address) for _ in starts]
        for connection, start in zip(stalled, starts, strict=True):
            connection.write(start)
        for connection in stalled:
            assert isinstance(connection.read(), Closed)
            assert len(log_of(daemon, port_of(connection))) == 1

    def test_a_handshake_may_come_byte_by_byte(self, daemon: Daemon) -> None:
        connection = connected(daemon.address)
        for byte in int_(len(CONNECT)) + CONNECT + framed(1, Op.exists, get("/")):
            connection.write(bytes((byte,)))
        granted = connection._receive()
        assert isinstance(granted, bytes) and len(granted) == 37
        assert isinstance(connection.read(), Reply)

    def test_a_truncated_frame_ends_with_its_client(self, daemon: Daemon, client: Connection) -> None:
        client.write(framed(1, Op.create, create("/truncated"))[:-1])
        client.sock.shutdown(socket.SHUT_WR)
        assert isinstance(client.read(), Closed)
        assert not log_of(daemon, port_of(client))

    @pytest.mark.parametrize("size", [-(1 << 31), -1, 0, 7, MAX_BUFFER + 1, (1 << 31) - 1])
    def test_a_frame_of_absurd_length_is_closed(self, daemon: Daemon, client: Connection, size: int) -> None:
        client.write(int_(size) + bytes(20))
        assert isinstance(client.read(), Closed)
        assert len(log_of(daemon, port_of(client))) == 1

    def test_a_flood_of_connects_ends_at_maxClientCnxns(self, daemon: Daemon) -> None:
        flood = [connected(daemon.address, "127.0.0.3") for _ in range(4 * PER_ADDRESS)]
        for connection in flood:
            connection.write(int_(len(CONNECT)) + CONNECT)
        granted = sum(isinstance(connection._receive(), bytes) for connection in flood)
        assert granted == PER_ADDRESS
        assert daemon.log.count("127.0.0.3 has 100 connections already") == 1
        for connection in flood:
            connection.drop()
        until(lambda: isinstance(connected(daemon.address, "127.0.0.3").connect(4000, 0, b"", 0), Granted))

    def test_connects_that_come_and_go_leave_nothing(self, daemon: Daemon) -> None:
        def come_and_go() -> None:
            for number in range(500):
                connection = connected(daemon.address, "127.0.0.4")
                connection.write(int_(len(CONNECT))[: number % 5])
                connection.drop()

        come_and_go()
        before = daemon.memory
        for _ in range(3):
            come_and_go()
        assert daemon.memory - before < 3 * MB


class TestThoseWhoDoNotRead:
    def test_reads_of_large_data_hold_the_client_back(self, daemon: Daemon, client: Connection) -> None:
        ask(client, Op.create, create("/large", bytes(900_000)))
        before = daemon.memory
        greedy = session(daemon.address, "127.0.0.5", buffer=1 << 16)
        sent = push(greedy, framed(7, Op.getData, get("/large")) * 100, 5000)
        assert sent < 5000
        assert daemon.memory - before < 40 * MB
        greedy.sock.settimeout(10)
        for _ in range(20):
            answer = greedy.read()
            assert isinstance(answer, Reply)
            assert len(answer.body) == 4 + 900_000 + 68
        greedy.drop()

    def test_reads_behind_a_write_do_not_gather_without_end(self, daemon: Daemon, client: Connection) -> None:
        ask(client, Op.create, create("/large", bytes(900_000)))
        before = daemon.memory
        greedy = session(daemon.address, "127.0.0.5", buffer=1 << 16)
        write = framed(1, Op.setData, text("/large-") + blob(b"") + int_(-1))
        push(greedy, write + framed(2, Op.getData, get("/large")) * 1000, 5)
        assert daemon.memory - before < 120 * MB
        greedy.drop()

    def test_large_reads_behind_a_write_are_all_answered_to_who_reads(
        self, daemon: Daemon, client: Connection
    ) -> None:
        ask(client, Op.create, create("/behind", bytes(900_000)))
        before = daemon.memory
        write = framed(1, Op.setData, text("/behind") + blob(bytes(900_000)) + int_(-1))
        reads = b"".join(framed(xid, Op.getData, get("/behind")) for xid in range(2, 102))
        client.write(write + reads + framed(102, Op.setData, text("/behind") + blob(b"") + int_(-1)))
        for xid in range(1, 103):
            answer = client.read()
            assert isinstance(answer, Reply)
            assert (answer.xid, answer.err) == (xid, 0)
            assert len(answer.body) == (4 + 900_000 + 68 if 1 < xid < 102 else 68)
        assert daemon.memory - before < 120 * MB

    def test_small_answers_hold_the_client_back_too(self, daemon: Daemon) -> None:
        before = daemon.memory
        greedy = session(daemon.address, "127.0.0.5", buffer=1 << 14)
        sent = push(greedy, framed(7, Op.getData, get("/")) * 1000, 1000)
        assert sent < 1000
        assert daemon.memory - before < 20 * MB
        greedy.sock.settimeout(10)
        for _ in range(sent * 1000):
            assert isinstance(greedy.read(), Reply)
        greedy.drop()

    def test_writes_of_large_data_are_bounded_in_bytes(self, daemon: Daemon) -> None:
        before = daemon.memory
        many = [session(daemon.address, "127.0.0.5") for _ in range(4)]
        most = 0
        for connection in many:
            assert ask(connection, Op.create, create(f"/bytes{port_of(connection)}")).err == 0

        def write(connection: Connection) -> None:
            path = text(f"/bytes{port_of(connection)}")
            for xid in range(60):
                connection.write(framed(xid, Op.setData, path + blob(bytes(900_000)) + int_(-1)))

        writers = [threading.Thread(target=write, args=(connection,)) for connection in many]
        for writer in writers:
            writer.start()
        for connection in many:
            for xid in range(60):
                answer = connection.read()
                assert isinstance(answer, Reply)
                assert (answer.xid, answer.err) == (xid, 0)
                most = max(most, daemon.memory)
            connection.drop()
        for writer in writers:
            writer.join()
        assert most - before < 150 * MB

    def test_who_does_not_read_its_events_is_dropped(self, daemon: Daemon, client: Connection) -> None:
        path = "/" + "e" * 400_000
        before = daemon.memory
        deaf = session(daemon.address, "127.0.0.6", buffer=1 << 16)
        assert ask(deaf, Op.addWatch, text("/") + int_(1)).err == 0
        assert ask(client, Op.create, create(path)).err == 0
        most = 0
        while not log_of(daemon, port_of(deaf)):
            assert ask(client, Op.setData, text(path) + blob(b"x") + int_(-1)).err == 0
            most = max(most, daemon.memory)
        assert len(log_of(daemon, port_of(deaf))) == 1
        assert most - before < 150 * MB
        ask(client, Op.delete, text(path) + int_(-1))
        deaf.drop()

    def test_a_large_answer_is_no_reason_to_drop_who_reads_slowly(
        self, daemon: Daemon, client: Connection
    ) -> None:
        """A list of children of 64 MB that has just begun to be read, and then events."""
        assert ask(client, Op.create, create("/many")).err == 0
        for number in range(80):
            assert ask(client, Op.create, create(f"/many/{number:0800000}")).err == 0
        slow = session(daemon.address, "127.0.0.6", buffer=1 << 16)
        assert ask(slow, Op.addWatch, text("/event") + int_(0)).err == 0
        slow.send(Op.getChildren, get("/many"))
        assert slow.sock.recv(1, socket.MSG_PEEK)
        for kind in range(20):
            body = create("/event") if kind % 2 == 0 else text("/event") + int_(-1)
            assert ask(client, Op.delete if kind % 2 else Op.create, body).err == 0
        answer = slow.read()
        assert isinstance(answer, Reply)
        assert len(answer.body) == 4 + 80 * 800_004
        assert [isinstance(slow.read(), Event) for _ in range(20)] == [True] * 20
        slow.drop()

    def test_an_expired_session_takes_its_stuck_connection_along(
        self, daemon: Daemon, client: Connection
    ) -> None:
        assert ask(client, Op.create, create("/stuck", bytes(900_000))).err == 0
        stuck = connected(daemon.address, "127.0.0.7", buffer=1 << 16)
        assert isinstance(stuck.connect(200, 0, bytes(16), 0), Granted)
        push(stuck, framed(7, Op.getData, get("/stuck")) * 100, 1000)
        until(lambda: f"session {stuck.session:#x} expired" in daemon.log, "the expiry")
        until(lambda: f"127.0.0.7:{port_of(stuck)}" not in word(daemon, b"cons"), "the end")
        stuck.drop()


MALFORMED = [
    b"",
    b"\0",
    int_(-1),
    int_(-5) + b"/zookeeper",
    int_((1 << 31) - 1),
    text("/x") + b"\xff" * 50,
    int_(2) + b"/\xff" + bytes(40),
    text("/x") + int_((1 << 31) - 1) * 3,
    text("/x") + blob(b"") + int_((1 << 31) - 1) + bytes(30),
    long(0) + int_((1 << 31) - 1),
    int_(14) + b"\0" + int_(-1) + int_(14) + b"\0" + int_(-1),
]


class TestRequests:
    @pytest.mark.parametrize("op", [0, -1, -10, -100, 20, 99, 1000, (1 << 31) - 1])
    def test_an_unknown_request_is_told_so_and_closed(
        self, daemon: Daemon, client: Connection, op: int
    ) -> None:
        assert ask(client, op)[1:3] == (-1, -6)
        assert isinstance(client.read(), Closed)
        assert len(log_of(daemon, port_of(client))) == 1

    def test_sasl_is_answered_without_a_token(self, client: Connection) -> None:
        assert ask(client, 102, blob(b"credentials"))[1:] == (0, 0, int_(-1))
        assert ask(client, Op.exists, get("/")).err == 0

    @pytest.mark.parametrize("op", [op for op in Op if op not in (Op.auth, Op.close, Op.error, Op.ping)])
    def test_a_malformed_body_is_an_error_or_an_end(self, daemon: Daemon, op: int) -> None:
        many = [session(daemon.address, "127.0.0.8") for _ in MALFORMED]
        for connection, body in zip(many, MALFORMED, strict=True):
            connection.send(op, body)
        for connection in many:
            assert isinstance(connection.read(), Reply | Closed | Event)
            connection.drop()

    def test_requests_close_to_jute_maxbuffer(self, client: Connection) -> None:
        for path in ("/brim", "/" + "b" * 200_000):
            room = MAX_BUFFER - 8 - len(create(path))
            assert ask(client, Op.create, create(path, bytes(room))).err == 0
            assert len(ask(client, Op.getData, get(path)).body) == 4 + room + 68
            assert ask(client, Op.delete, text(path) + int_(-1)).err == 0
        client.send(Op.create, create("/brim", bytes(MAX_BUFFER - 8 - len(create("/brim")) + 1)))
        assert isinstance(client.read(), Closed)

    def test_a_path_of_500_kB(self, client: Connection) -> None:
        path = "/" + "p" * 500_000
        assert ask(client, Op.create, create(path, b"x")).err == 0
        assert ask(client, Op.getData, get(path)).body.startswith(blob(b"x"))
        assert Reader(ask(client, Op.getChildren, get("/")).body).texts().count(path[1:]) == 1
        assert ask(client, Op.create, create(path + "/" + "c" * 500_000)).err == 0
        assert ask(client, Op.delete, text(path + "/" + "c" * 500_000) + int_(-1)).err == 0
        assert ask(client, Op.delete, text(path) + int_(-1)).err == 0
        assert ask(client, Op.exists, get("/a" * 250_000)).err == -101
        assert ask(client, Op.create, create("/a" * 250_000)).err == -101

    def test_a_thousand_levels(self, client: Connection) -> None:
        paths = ["/deep" + "/d" * depth for depth in range(1000)]
        assert ask(client, Op.addWatch, text("/deep") + int_(1)).err == 0
        for path in paths:
            client.send(Op.create, create(path))
        seen = Counter(type(client.read()) for _ in range(2000))
        assert seen == {Reply: 1000, Event: 1000}
        answer = ask(client, Op.getAllChildrenNumber, text("/deep"))
        assert answer.body == int_(999)
        for path in reversed(paths):
            client.send(Op.delete, text(path) + int_(-1))
        answers = [client.read() for _ in range(2000)]
        assert all(answer.err == 0 for answer in answers if isinstance(answer, Reply))

    def test_an_acl_of_ten_thousand_entries(self, client: Connection) -> None:
        entries = [Acl(31, "world", "anyone")]
        entries += [Acl(1, "digest", f"user{number}:x") for number in range(9_999)]
        assert ask(client, Op.create, create("/acl", acl=acls(entries))).err == 0
        assert Reader(ask(client, Op.getACL, text("/acl")).body).acls() == entries
        assert ask(client, Op.delete, text("/acl") + int_(-1)).err == 0

    def test_a_multi_of_ten_thousand_creates_and_one_that_fails_at_its_end(self, client: Connection) -> None:
        def multi(*parts: tuple[int, bytes]) -> bytes:
            chain = (int_(op) + b"\0" + int_(-1) + body for op, body in parts)
            return b"".join(chain) + int_(-1) + b"\1" + int_(-1)

        def count() -> int:
            return Reader(ask(client, Op.getAllChildrenNumber, text("/multi")).body).int_()

        assert ask(client, Op.create, create("/multi")).err == 0
        creates = [(int(Op.create), create(f"/multi/{number}")) for number in range(10_000)]
        assert ask(client, Op.multi, multi(*creates, (Op.delete, text("/none") + int_(-1)))).err == 0
        assert count() == 0
        assert ask(client, Op.multi, multi(*creates)).err == 0
        assert count() == 10_000
        deletes = [(int(Op.delete), text(f"/multi/{number}") + int_(-1)) for number in range(10_000)]
        assert ask(client, Op.multi, multi(*deletes)).err == 0
        assert count() == 0

    def test_a_multiRead_of_more_than_can_be_held_is_refused(
        self, daemon: Daemon, client: Connection
    ) -> None:
        assert ask(client, Op.create, create("/large-read", bytes(900_000))).err == 0
        before = daemon.memory
        part = int_(Op.getData) + b"\0" + int_(-1) + get("/large-read")
        assert ask(client, Op.multiRead, part * 20_000 + int_(-1) + b"\1" + int_(-1)).err == -8
        assert daemon.memory - before < 120 * MB
        assert ask(client, Op.delete, text("/large-read") + int_(-1)).err == 0

    def test_auth_entries_and_identities_do_not_multiply_without_end(self, client: Connection) -> None:
        for number in range(30):
            client.send(Op.auth, int_(0) + text("digest") + blob(b"%d:" % number), xid=-4)
            assert client.read() == Reply(-4, 0, 0, b"")
        entries = [Acl(perms, "auth", "") for perms in range(60_000)]
        assert ask(client, Op.create, create("/multiplied", acl=acls(entries))).err == -114

    def test_addresses_in_lists_are_not_remembered_whatever_their_length(
        self, daemon: Daemon, client: Connection
    ) -> None:
        before = daemon.memory
        for number in range(100):
            entry = Acl(31, "ip", f"{number}" + "0" * 900_000)
            assert ask(client, Op.create, create("/addressed", acl=acls([entry]))).err == -114
        assert daemon.memory - before < 50 * MB

    def test_a_watch_on_a_path_that_is_no_text_is_told_all_the_same(
        self, daemon: Daemon, client: Connection
    ) -> None:
        assert ask(client, Op.exists, blob(b"/\xff\xfe") + bool_(True)).err == -101
        assert f"{client.session:#x}" in word(daemon, b"wchp")
        assert f"{client.session:#x}" in word(daemon, b"wchc")

    def test_a_path_of_negative_length_is_malformed(self, client: Connection) -> None:
        for op in (Op.getData, Op.exists, Op.getChildren):
            assert ask(client, op, int_(-5) + b"/zookeeper" + bool_(False)).err == -5

    def test_identities_end_where_a_transaction_can_carry_no_more(
        self, daemon: Daemon, client: Connection
    ) -> None:
        answer: Item = Reply(0, 0, 0, b"")
        known = 0
        while answer == Reply(-4, 0, 0, b"") or known == 0:
            client.send(Op.auth, int_(0) + text("digest") + blob(b"u%d" % known + bytes(3000)), xid=-4)
            answer = client.read()
            known += 1
            assert known < 100
            if answer == Reply(-4, 0, 0, b""):
                assert ask(client, Op.setData, text("/canary") + blob(b"") + int_(99)).err == -103
        assert answer == Reply(-4, 0, -115, b"")
        assert isinstance(client.read(), Closed)
        assert len(log_of(daemon, port_of(client))) == 1

    def test_no_client_writes_lines_of_the_log(self, daemon: Daemon, client: Connection) -> None:
        forged = "\n2026-01-01T00:00:00.000+00:00 ERROR daemon.server: forged"
        client.send(Op.create, create("/x" + forged))
        client.send(Op.setData, text("/x" + forged) + blob(forged.encode()) + int_(-1))
        client.send(Op.exists, text("/x" + forged) + bool_(True))
        client.send(Op.auth, int_(0) + text(forged) + blob(forged.encode()), xid=-4)
        while not isinstance(client.read(), Closed):
            pass
        assert not [line for line in daemon.log.splitlines() if line.startswith("2026-01-01T00:00:00.000")]

    def test_the_limit_on_requests_in_flight_delays_and_refuses_nothing(self, daemon: Daemon) -> None:
        many = [session(daemon.address, "127.0.0.8") for _ in range(4)]
        for connection in many:
            assert ask(connection, Op.create, create(f"/flight{port_of(connection)}")).err == 0
            body = text(f"/flight{port_of(connection)}") + blob(b"x") + int_(-1)
            connection.write(b"".join(framed(xid, Op.setData, body) for xid in range(2000)))
        for connection in many:
            answers = [connection.read() for _ in range(2000)]
            assert [answer.xid for answer in answers if isinstance(answer, Reply)] == [*range(2000)]
            assert all(answer.err == 0 for answer in answers if isinstance(answer, Reply))
            connection.drop()


def test_noise(daemon: Daemon, client: Connection) -> None:
    """Requests with some bytes changed: the first znode of each kind they hit may be gone, the server not."""
    seed = 1
    requests = [
        create("/noise", b"data"),
        get("/noise"),
        text("/noise") + blob(b"data") + int_(-1),
        text("/noise") + OPEN + int_(-1),
        int_(1) + b"\0" + int_(-1) + create("/noise/x") + int_(-1) + b"\1" + int_(-1),
    ]
    ops = [Op.create, Op.create2, Op.createTTL, Op.createContainer, Op.setData, Op.setACL, Op.multi]
    ops += [Op.getData, Op.getACL, Op.setWatches, Op.setWatches2, Op.multiRead, Op.delete, Op.sync]
    for round_ in range(2000):
        body = bytearray(requests[round_ % len(requests)])
        for _ in range(2):
            seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
            body[seed % len(body)] = (seed >> 16) & 0xFF
        client.send(ops[(seed >> 8) % len(ops)], bytes(body), xid=round_)
    answered = 0
    with contextlib.suppress(struct.error):
        while answered < 2000:
            answer = client.read()
            assert not isinstance(answer, Closed)
            answered += isinstance(answer, Reply)
