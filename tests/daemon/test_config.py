"""zoo.cfg: what it may say, what it means, and how everything wrong with it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from znoded.daemon.config import Backend, Config, Fault, Loaded, Server, load
from znoded.daemon.config_keys import IGNORED, REFUSED, WORDS
from znoded.daemon.properties import Setting, parse

OPEN = "\nquorum.allowUnauthenticated=true"
ENSEMBLE = """
initLimit=10
syncLimit=5
server.1=one:2888:3888
server.2=two:2888:3888:participant;2182
server.3=[fd00::3]:2888:3888:observer;10.0.0.3:2183
server.4=four:2888:3888
quorum.allowUnauthenticated=true
"""
DIGEST = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with nothing in it but an empty data directory."""
    (tmp_path / "data").mkdir()
    return tmp_path


def read(home: Path, text: str, **overrides: str) -> Loaded:
    path = home / "zoo.cfg"
    path.write_text(text)
    return load(path, {"dataDir": str(home / "data")} | overrides)


def good(home: Path, text: str) -> Config:
    loaded = read(home, text)
    assert loaded.faults == ()
    assert loaded.config
    return loaded.config


def faults(home: Path, text: str) -> list[tuple[int | None, str]]:
    """(line, key) of each fault."""
    loaded = read(home, text)
    assert (loaded.config is None) == bool(loaded.faults)
    return [(fault.line, fault.key) for fault in loaded.faults]


def message(home: Path, text: str) -> str:
    """The message of the only fault."""
    (fault,) = read(home, text).faults
    return fault.message


def warnings(home: Path, text: str) -> list[tuple[int | None, str]]:
    loaded = read(home, text)
    assert loaded.faults == ()
    return [(warning.line, warning.key) for warning in loaded.warnings]


class TestPropertiesSyntax:
    """As java.util.Properties.load documents it."""

    @pytest.mark.parametrize(
        ("text", "key", "value"),
        [
            ("a=1", "a", "1"),
            ("a:1", "a", "1"),
            ("a 1", "a", "1"),
            ("  a \t=  1", "a", "1"),
            ("a = = 1", "a", "= 1"),
            ("a==1", "a", "=1"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("a=1 # not a comment", "a", "1 # not a comment"),
            ("a=1 \x01", "a", "1"),
            ("a\\=b\\:c\\ d=1", "a=b:c d", "1"),
            ("a=\\u00e9\\t\\q", "a", "é\tq"),
            ("a=\\ud83d\\ude00", "a", "😀"),
            ("a=C:\\\\data", "a", "C:\\data"),
            ("a=one,\\\n    two", "a", "one,two"),
            ("a=one\\\n# two", "a", "one# two"),
            ("a=one\\\\", "a", "one\\"),
            ("a=one\\", "a", "one"),
        ],
    )
    def test_a_line(self, text: str, key: str, value: str) -> None:
        assert list(parse(text)) == [Setting(1, key, value)]

    def test_comments_and_blank_lines_are_skipped(self) -> None:
        assert list(parse("# a=1\n\n \t\n  ! b=2 \\\nc=3\r\nd=4\re=5")) == [
            Setting(5, "c", "3"),
            Setting(6, "d", "4"),
            Setting(7, "e", "5"),
        ]

    def test_a_setting_has_the_number_of_its_first_line(self) -> None:
        assert list(parse("\na=1\\\n\\\n2\nb=3")) == [Setting(2, "a", "12"), Setting(5, "b", "3")]

    def test_a_blank_line_ends_a_continued_one(self) -> None:
        assert list(parse("a=1\\\n\nb=2")) == [Setting(1, "a", "1"), Setting(3, "b", "2")]

    @pytest.mark.parametrize("text", ["\\", "\\\n", "\\\n  \\\n\t\n"])
    def test_backslashes_alone_set_nothing(self, text: str) -> None:
        assert list(parse(text)) == []

    def test_a_broken_escape_is_a_fault(self, home: Path) -> None:
        assert faults(home, "\nclientPortAddress=\\u12") == [(2, "clientPortAddress")]


class TestDefaults:
    def test_without_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        loaded = load(None, {})
        assert loaded.faults == loaded.warnings == ()
        config = loaded.config
        assert config
        assert config.data_dir == config.data_log_dir == tmp_path / "data"
        assert not config.data_dir.exists()
        assert (config.client_address, config.client_port) == ("127.0.0.1", 2181)
        assert (config.admin_enabled, config.admin_address, config.admin_port) == (True, "127.0.0.1", 8080)
        assert (config.consensus, config.servers, config.server_id) == (Backend.STANDALONE, (), 0)
        assert config.storage == "lmdb"
        assert config.super_digest is None

    def test_those_of_zookeeper(self, home: Path) -> None:
        config = good(home, "")
        assert config.tick_time == 3000
        assert (config.min_session_timeout, config.max_session_timeout) == (6000, 60000)
        assert config.max_client_cnxns == 60
        assert config.max_buffer == 1048575
        assert config.outstanding_limit == 1000
        assert config.listen_backlog == -1
        assert config.snap_retain_count == 3
        assert config.fsync_warning_ms == 1000
        assert (config.container_check_ms, config.container_max_per_minute) == (60_000, 10_000)
        assert config.container_max_never_used_ms == 0
        assert config.four_letter_words == {"srvr"}
        switches = (config.skip_acl, config.enforce_quota, config.extended_types)
        assert switches == (False, False, False)

    def test_the_sample_is_without_fault(self) -> None:
        assert load(Path(__file__).parents[2] / "etc" / "zoo.cfg", {}).faults == ()


class TestValues:
    def test_all_that_a_standalone_server_reads(self, home: Path) -> None:
        config = good(
            home,
            f"""
            tickTime=2000
            minSessionTimeout=1000
            maxSessionTimeout=90000
            clientPort=2281
            clientPortAddress=::1
            clientPortListenBacklog=128
            maxClientCnxns=0
            dataLogDir={home}/log
            jute.maxbuffer=0x1fffff
            globalOutstandingLimit=500
            DigestAuthenticationProvider.superDigest={DIGEST}
            4lw.commands.whitelist=stat, ruok
            admin.enableServer=False
            admin.serverPort=8081
            admin.serverAddress=localhost
            admin.allowUnauthenticated=true
            autopurge.snapRetainCount=5
            extendedTypesEnabled=true
            enforceQuota=true
            skipACL=yes
            znode.container.checkIntervalMs=100
            znode.container.maxPerMinute=10
            znode.container.maxNeverUsedIntervalMs=5000
            fsync.warningthresholdms=50
            storage=memory
            log.level=DEBUG
            log.slowRequestMs=250
            audit.enable=true
            auditlog.file={home}/audit.log
            """,
        )
        assert config == Config(
            data_dir=home / "data",
            data_log_dir=home / "log",
            client_address="::1",
            client_port=2281,
            secure_client_address="127.0.0.1",
            secure_client_port=None,
            client_takes_tls=False,
            listen_backlog=128,
            tick_time=2000,
            min_session_timeout=1000,
            max_session_timeout=90000,
            max_client_cnxns=0,
            max_buffer=0x1FFFFF,
            outstanding_limit=500,
            servers=(),
            server_id=0,
            init_limit=0,
            sync_limit=0,
            consensus=Backend.STANDALONE,
            read_only_mode=False,
            storage="memory",
            super_digest=DIGEST,
            super_subject=None,
            skip_acl=True,
            enforce_quota=True,
            extended_types=True,
            container_check_ms=100,
            container_max_per_minute=10,
            container_max_never_used_ms=5000,
            four_letter_words=frozenset({"srvr", "stat", "ruok"}),
            admin_enabled=False,
            admin_address="localhost",
            admin_port=8081,
            quorum_secret=None,
            admin_token=None,
            admin_unauthenticated=True,
            admin_takes_tls=False,
            admin_takes_plain=True,
            tls=None,
            snap_retain_count=5,
            fsync_warning_ms=50,
            log_level="debug",
            slow_request_ms=250,
            audit_enabled=True,
            audit_file=home / "audit.log",
        )

    def test_the_prefix_of_system_properties_may_stand_before_a_key(self, home: Path) -> None:
        config = good(
            home, f"zookeeper.DigestAuthenticationProvider.superDigest={DIGEST}\nzookeeper.skipACL=yes"
        )
        assert (config.super_digest, config.skip_acl) == (DIGEST, True)

    def test_the_super_digest_shows_nowhere(self, home: Path) -> None:
        key = "DigestAuthenticationProvider.superDigest"
        assert DIGEST not in repr(good(home, f"{key}={DIGEST}"))
        assert "hunter2" not in message(home, f"{key}=super:hunter2")

    def test_minus_one_stands_for_a_default_session_timeout(self, home: Path) -> None:
        config = good(home, "tickTime=100\nminSessionTimeout=-1\nmaxSessionTimeout=-1")
        assert (config.min_session_timeout, config.max_session_timeout) == (200, 2000)

    def test_an_asterisk_allows_every_word(self, home: Path) -> None:
        assert good(home, "4lw.commands.whitelist=*").four_letter_words == WORDS

    def test_an_override_wins_over_the_file(self, home: Path) -> None:
        loaded = read(home, "clientPort=2181\nstorage=lmdb", clientPort="2182")
        assert loaded.warnings == ()
        assert loaded.config
        assert loaded.config.client_port == 2182

    def test_a_file_that_is_not_utf_8_is_latin_1(self, home: Path) -> None:
        (home / "zoo.cfg").write_bytes(b"# f\xfcr uns\ndataDir=" + bytes(home) + b"/\xfc")
        config = load(home / "zoo.cfg", {}).config
        assert config
        assert config.data_dir == home / "ü"


class TestFaults:
    def test_every_fault_is_told_at_once_with_its_line(self, home: Path) -> None:
        text = """\
tickTime=two
clientPort=70000
maxClientCnxns=-1
skipACL=maybe
jute.maxbuffer=
clientPortAddress=not an address
admin.serverAddress=1.2.3
storage=paper
consensus=paxos
log.level=loud
DigestAuthenticationProvider.superDigest=super:secret
ticTime=2000
"""
        keys = [line.partition("=")[0] for line in text.splitlines()]
        assert faults(home, text) == list(enumerate(keys, 1))

    def test_an_unknown_key_is_named_with_its_nearest(self, home: Path) -> None:
        (fault,) = read(home, "maxclientcnxn=1").faults
        assert fault == Fault(1, "maxclientcnxn", "is unknown; the nearest known key is maxClientCnxns")

    def test_a_range_is_told(self, home: Path) -> None:
        assert message(home, "clientPort=65536") == "must be from 0 to 65535, not 65536"

    def test_session_timeouts_may_not_cross(self, home: Path) -> None:
        assert faults(home, "\nminSessionTimeout=2000\nmaxSessionTimeout=1999") == [(2, "minSessionTimeout")]
        assert faults(home, "tickTime=2000\nmaxSessionTimeout=3999") == [(2, "maxSessionTimeout")]

    @pytest.mark.parametrize(
        ("client", "admin", "collide"),
        [
            ("127.0.0.1:2181", "127.0.0.1:2181", True),
            ("0.0.0.0:2181", "127.0.0.1:2181", True),
            ("127.0.0.1:2181", "10.0.0.1:2181", False),
            ("127.0.0.1:0", "127.0.0.1:0", False),
            ("127.0.0.1:2181", "127.0.0.1:8080", False),
        ],
    )
    def test_ports_may_not_collide(self, home: Path, client: str, admin: str, collide: bool) -> None:
        client_address, client_port = client.split(":")
        admin_address, admin_port = admin.split(":")
        text = (
            f"clientPort={client_port}\nclientPortAddress={client_address}\n"
            f"admin.serverPort={admin_port}\nadmin.serverAddress={admin_address}\n"
            "admin.allowUnauthenticated=true\n"
        )
        assert faults(home, text) == ([(3, "admin.serverPort")] if collide else [])
        assert faults(home, text + "admin.enableServer=false") == []

    def test_a_file_must_say_where_the_data_lives(self, home: Path) -> None:
        (home / "zoo.cfg").write_text("clientPort=2181")
        loaded = load(home / "zoo.cfg", {})
        assert [(fault.line, fault.key) for fault in loaded.faults] == [(None, "dataDir")]

    def test_a_file_that_can_not_be_read(self, home: Path) -> None:
        (fault,) = load(home / "absent.cfg", {}).faults
        assert (fault.line, fault.key) == (None, "")
        assert "No such file" in fault.message

    def test_a_data_directory_must_be_one(self, home: Path) -> None:
        (home / "file").write_text("")
        text = f"\ndataLogDir={home}/file/below"
        assert faults(home, text) == [(2, "dataLogDir")]
        assert message(home, text) == f"{home}/file is not a directory"
        assert faults(home, "dataLogDir=") == [(1, "dataLogDir")]

    def test_a_data_directory_must_be_writable(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda _path, mode: mode == os.F_OK)
        assert message(home, "") == f"no permission to write in {home}/data"


class TestWarnings:
    @pytest.mark.parametrize("key", ["nio.numWorkerThreads", "metricsProvider.httpPort", "authProvider.sasl"])
    def test_a_key_without_meaning_here_is_told_once(self, home: Path, key: str) -> None:
        assert warnings(home, f"\n{key}=7") == [(2, key)]
        assert read(home, f"{key}=7").warnings[0].message.startswith("has no effect: ")

    @pytest.mark.parametrize("key", IGNORED)
    def test_no_ignored_key_is_read_after_all(self, home: Path, key: str) -> None:
        assert warnings(home, f"{key}=1") == [(1, key)]

    def test_a_repeated_key_counts_as_it_stands_last(self, home: Path) -> None:
        text = "tickTime=1\ntickTime=2"
        assert warnings(home, text) == [(1, "tickTime")]
        assert good(home, text).tick_time == 2

    def test_too_few_snapshots_become_three_as_in_zookeeper(self, home: Path) -> None:
        assert warnings(home, "autopurge.snapRetainCount=1") == [(1, "autopurge.snapRetainCount")]
        assert good(home, "autopurge.snapRetainCount=1").snap_retain_count == 3

    def test_read_only_mode_allows_a_standalone_server_isro_and_no_more(self, home: Path) -> None:
        assert warnings(home, "readonlymode.enabled=true") == [(1, "readonlymode.enabled")]
        assert good(home, "readonlymode.enabled=true").four_letter_words == {"srvr", "isro"}
        assert not good(home, "readonlymode.enabled=true").read_only_mode
        assert warnings(home, "readonlymode.enabled=false") == []

    def test_a_word_that_does_not_exist(self, home: Path) -> None:
        assert warnings(home, "4lw.commands.whitelist=stat, stats") == [(1, "4lw.commands.whitelist")]
        assert good(home, "4lw.commands.whitelist=stat, stats").four_letter_words == {"srvr", "stat"}


class TestRefusals:
    """What would leave a server open, or alone, that its owner believes guarded, or in an ensemble."""

    @pytest.mark.parametrize("key", REFUSED)
    def test_a_key_that_can_not_be_ignored(self, home: Path, key: str) -> None:
        assert faults(home, f"{key}=otherwise") == [(1, key)]

    @pytest.mark.parametrize(("key", "value"), [(key, as_is) for key, (as_is, _) in REFUSED.items() if as_is])
    def test_its_value_that_is_true_here_is_taken(self, home: Path, key: str, value: str) -> None:
        assert warnings(home, f"{key}={value}") == []

    def test_quorums_other_than_majorities(self, home: Path) -> None:
        assert faults(home, "group.1=1:2\nweight.1=2") == [(1, "group.1"), (2, "weight.1")]


class TestEnsemble:
    def test_server_lines(self, home: Path) -> None:
        (home / "data" / "myid").write_text("3\n")
        config = good(home, ENSEMBLE)
        assert config.servers == (
            Server(1, "one", 2888, 3888),
            Server(2, "two", 2888, 3888, False, None, 2182),
            Server(3, "fd00::3", 2888, 3888, True, "10.0.0.3", 2183),
            Server(4, "four", 2888, 3888),
        )
        assert config.server_id == 3
        assert config.consensus is Backend.ZAB
        assert (config.init_limit, config.sync_limit) == (10, 5)

    def test_the_own_line_says_where_clients_connect(self, home: Path) -> None:
        (home / "data" / "myid").write_text("3")
        config = good(home, ENSEMBLE)
        assert (config.client_address, config.client_port) == ("10.0.0.3", 2183)
        assert faults(home, f"clientPort=2181{ENSEMBLE}") == [(1, "clientPort")]

    def test_an_own_line_without_it_leaves_that_to_client_port(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        assert good(home, f"clientPort=2184{ENSEMBLE}").client_port == 2184

    def test_raft_is_the_other_backend(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        assert good(home, f"consensus=raft{ENSEMBLE}").consensus is Backend.RAFT

    def test_a_backend_fits_the_server_lines(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        assert faults(home, "consensus=zab") == [(1, "consensus")]
        assert faults(home, f"consensus=standalone{ENSEMBLE}") == [(1, "consensus")]

    @pytest.mark.parametrize(
        "value",
        [
            "host",
            "host:2888",
            "host:2888:3888:watcher",
            "host:2888:3888:observer:more",
            "host:2888:2888",
            "host:0:3888",
            "host:2888:65536",
            "host:2888:x",
            ":2888:3888",
            "two words:2888:3888",
            "fd00::1:2888:3888",
            "[fd00::1:2888:3888",
            "[fd00::1]",
            "host:2888:3888;",
            "host:2888:3888;a:b:1",
            "one:2888:3888|two:2888:3888",
        ],
    )
    def test_a_malformed_line(self, home: Path, value: str) -> None:
        (home / "data" / "myid").write_text("1")
        assert (1, "server.1") in faults(home, f"server.1={value}\ninitLimit=1\nsyncLimit=1")

    @pytest.mark.parametrize("number", ["0", "256", "-1", "one", "", "1.2"])
    def test_a_malformed_number(self, home: Path, number: str) -> None:
        assert faults(home, f"server.{number}=host:2888:3888") == [(1, f"server.{number}")]

    def test_a_number_is_given_once(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        text = "initLimit=1\nsyncLimit=1\nserver.1=one:1:2\nserver.1=two:1:2" + OPEN
        assert faults(home, text) == [(3, "server.1")]
        assert faults(home, text.replace("server.1=two", "server.01=two")) == [(4, "server.01")]

    def test_an_address_is_given_once(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        text = "initLimit=1\nsyncLimit=1\nserver.1=one:1:2\nserver.2=one:2:3\nserver.3=one:4:5" + OPEN
        assert faults(home, text) == [(3, "server.1"), (4, "server.2")]

    def test_peers_elsewhere_must_prove_who_they_are(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        (home / "secret").write_text("0123456789abcdef\n")
        closed = ENSEMBLE.replace("quorum.allowUnauthenticated=true", "")
        assert faults(home, closed) == [(4, "server.1")]
        assert "quorum.secretFile" in message(home, closed)
        assert good(home, f"{closed}quorum.secretFile={home}/secret").quorum_secret == "0123456789abcdef"
        assert good(home, "initLimit=1\nsyncLimit=1\nserver.1=127.0.0.1:1:2\nserver.2=localhost:3:4").servers

    def test_peers_elsewhere_and_clients_here_alone_are_worth_a_word(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        assert warnings(home, f"clientPortAddress=0.0.0.0{ENSEMBLE}") == []
        assert warnings(home, ENSEMBLE) == [(None, "clientPortAddress")]

    def test_observers_alone_are_no_ensemble(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        assert faults(home, "initLimit=1\nsyncLimit=1\nserver.1=one:1:2:observer" + OPEN) == [(3, "server.1")]

    def test_an_even_number_of_participants_is_pointed_out(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        assert warnings(
            home, "initLimit=1\nsyncLimit=1\nserver.1=a:1:2;0.0.0.0:2181\nserver.2=b:1:2" + OPEN
        ) == [(3, "server.1")]

    def test_limits_are_needed(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        assert faults(home, "server.1=a:1:2" + OPEN) == [
            (None, "initLimit"),
            (None, "syncLimit"),
        ]

    def test_own_ports_may_not_collide(self, home: Path) -> None:
        (home / "data" / "myid").write_text("1")
        text = "initLimit=1\nsyncLimit=1\nserver.1=127.0.0.1:2181:3888" + OPEN
        assert faults(home, text) == [(3, "server.1")]

    @pytest.mark.parametrize("content", [None, "", "x", "0", "256", "5", "1 2", "٣"])
    def test_myid_must_name_a_server_line(self, home: Path, content: str | None) -> None:
        if content is not None:
            (home / "data" / "myid").write_text(content)
        loaded = read(home, ENSEMBLE)
        assert [fault.key for fault in loaded.faults] == ["dataDir"]
        assert "myid" in loaded.faults[0].message

    def test_ttl_nodes_leave_254_servers(self, home: Path) -> None:
        assert faults(home, "server.255=a:1:2\nextendedTypesEnabled=true") == [(1, "server.255")]

    def test_a_standalone_server_needs_no_myid_yet_not_a_broken_one(self, home: Path) -> None:
        (home / "data" / "myid").write_text("7")
        assert good(home, "").server_id == 0
        (home / "data" / "myid").write_text("seven")
        assert faults(home, "") == [(None, "dataDir")]


def test_reading_takes_no_event_loop_and_no_web_server() -> None:
    """A start has 0.4 seconds, and `check` should not wait for what it does not use."""
    code = "import sys, znoded.daemon.cli; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"asyncio", "aiohttp", "lmdb", "uvloop"} & set(ran.stdout.split())
