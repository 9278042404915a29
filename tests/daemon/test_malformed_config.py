"""Whatever a configuration file holds, what is wrong with it comes back as faults: nothing is raised."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from znoded.daemon.config import load
from znoded.daemon.config_keys import IGNORED, REFUSED
from znoded.daemon.properties import parse

KEYS = st.sampled_from(
    [
        *("tickTime", "clientPort", "clientPortAddress", "dataDir", "dataLogDir", "jute.maxbuffer", "myid"),
        *("maxClientCnxns", "minSessionTimeout", "maxSessionTimeout", "initLimit", "syncLimit", "skipACL"),
        *("server.1", "server.2", "server.x", "consensus", "storage", "4lw.commands.whitelist", "log.level"),
        *("admin.serverAddress", "admin.serverPort", "admin.enableServer", "admin.tokenFile", "nonsense"),
        *("DigestAuthenticationProvider.superDigest", "znode.container.checkIntervalMs", "zookeeper.skipACL"),
        *sorted(IGNORED)[:3],
        *sorted(REFUSED)[:3],
    ]
)
WORDS = st.sampled_from(
    [
        *("0", "1", "-1", "+0x10", "2147483648", "9" * 5000, "٣", "1e3", "true", "no", "", "*", "srvr,,x"),
        *(
            "localhost",
            "[::1]",
            "::1%lo",
            "1.2.3",
            "a" * 300,
            "raft",
            "zab",
            "lmdb",
            "/",
            "/proc/x",
            "\\u0000",
        ),
        *("a:1:2", "[::1]:1:2:observer;[::1]:3", "a:1:1", "a|b:1:2", ":::;;;", "[", "[]", ";", "a:1:2;"),
        *(
            "super:" + "A" * 28,
            "super:",
            ":",
            "\\ud83d",
            "\\ude00",
            "\\uxyz",
            "\\",
            "\\\\",
            "\0",
            "\x85\u2028",
        ),
    ]
)
LINES = st.lists(
    st.builds(
        lambda key, between, value, end: f"{key}{between}{value}{end}".encode("utf-8", "replace"),
        KEYS,
        st.sampled_from(["=", " = ", ":", "\t", "==", "\\="]),
        WORDS | st.text(max_size=20),
        st.sampled_from(["\n", "\r\n", "\r", "\\\n", "\\"]),
    )
    | st.binary(max_size=30),
    max_size=8,
).map(b"".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@given(LINES)
@example(b"dataDir=x\ntickTime=" + b"9" * 5000)
def test_any_file_is_a_configuration_or_has_faults(folder: Path, lines: bytes) -> None:
    config = folder / "zoo.cfg"
    config.write_bytes(lines)
    loaded = load(config, {})
    assert (loaded.config is None) == bool(loaded.faults)
    for fault in (*loaded.faults, *loaded.warnings):
        assert fault.message
        assert fault.line is None or 1 <= fault.line <= lines.count(b"\n") + lines.count(b"\r") + 1
        f"{fault.key}: {fault.message}".encode()  # znoded check can print it
    assert [path.name for path in folder.iterdir()] == ["zoo.cfg"]


@given(st.binary(max_size=40) | WORDS.map(str.encode))
@example(b"9" * 5000)
def test_any_myid_is_a_number_or_a_fault(folder: Path, text: bytes) -> None:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "myid").write_bytes(text)
    loaded = load(None, {"dataDir": str(data)})
    assert (loaded.config is None) == bool(loaded.faults)


@given(
    st.binary(max_size=40)
    | st.binary(min_size=1020, max_size=1030)
    | st.text("ab!~ \n", max_size=40).map(str.encode)
)
def test_any_token_file_holds_a_token_or_is_a_fault_that_does_not_tell_it(folder: Path, text: bytes) -> None:
    secret = folder / "token"
    secret.write_bytes(text)
    loaded = load(None, {"admin.tokenFile": str(secret)})
    if loaded.config is None:
        assert [fault.key for fault in loaded.faults] == ["admin.tokenFile"]
    else:
        assert loaded.config.admin_token == text.strip().decode("ascii")


@given(st.text(max_size=200))
def test_any_text_has_settings_by_lines_in_order(text: str) -> None:
    found = list(parse(text))
    assert [setting.line for setting in found] == sorted(setting.line or 0 for setting in found)
    assert all(setting.value == "" for setting in found if setting.error)
