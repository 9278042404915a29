"""Whatever comes to a port in place of a word: an answer in text, or the end, and once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.api.admin import words
from znoded.api.admin.port import AdminPort
from znoded.api.http import VERBS, Http
from znoded.api.per_address import PerAddress
from znoded.api.port import ClientPort

from ..test_zookeeper_frames import CUTS, Service, Transport, pieces
from .test_commands import FakeServer

WORDS = st.sampled_from(sorted(words.WORDS)) | st.binary(max_size=4) | st.text(max_size=2).map(str.encode)
HTTP = cast(Http, None)
ANY_NUMBER = PerAddress(0, "connections")
"""Nobody asks for it here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("words")


class Wire(Transport):
    """Notes when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Whatever is written is sent at once."""

    def abort(self) -> None:
        super().abort()
        self.closed.set()


def view(folder: Path) -> FakeServer:
    """A server of which every word has something to tell."""
    server = FakeServer(folder, folder)
    server.digest_list = [(1, 2)]
    return server


def play(make: Callable[[], asyncio.Protocol], sent: list[bytes]) -> str:
    """All that a port sends to who sends these pieces, says that this was all, and waits for the end."""

    async def main() -> bytes:
        wire = Wire()
        wire.protocol = make()
        wire.protocol.connection_made(wire)
        wire.deliver(sent)
        if not wire.ended and not wire.protocol.eof_received():
            wire.close()
        await asyncio.wait_for(wire.closed.wait(), 1)
        await asyncio.sleep(0)
        return bytes(wire.sent)

    return asyncio.run(main()).decode()


@given(WORDS, st.binary(max_size=12), CUTS)
def test_the_admin_port_answers_whatever_it_is_sent(
    folder: Path, word: bytes, rest: bytes, cuts: list[int]
) -> None:
    sent = word + rest
    if sent[:4] in VERBS:
        return
    answer = play(lambda: AdminPort(view(folder), HTTP, ANY_NUMBER), pieces(sent, cuts))
    assert bool(answer) == bool(sent)
    if sent and sent[:4] not in words.WORDS:
        assert "is not a word known here" in answer


@given(
    st.sampled_from(sorted(words.WORDS)),
    st.binary(max_size=12),
    st.frozensets(st.sampled_from(sorted(words.WORDS))),
    CUTS,
)
def test_the_client_port_answers_the_words_that_are_allowed(
    folder: Path, word: bytes, rest: bytes, allowed: frozenset[bytes], cuts: list[int]
) -> None:
    service = Service()

    server = view(folder)
    answer = play(
        lambda: ClientPort(service, service.dirty, server, HTTP, allowed, 1 << 20), pieces(word + rest, cuts)
    )
    assert answer
    assert (words.NOT_LISTED in answer) == (word not in allowed)
    assert service.there == 0
