"""A client speaks TLS by what a URL says, or by a context of its own, and knows whom it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from znoded.client import BadAddress, BlockingClient, Client, NoConnection

from ..certificates import Authority
from ..daemons import Daemon, free_port
from .running import run


class Tls:
    """A server over TLS: port, and the files of who may talk to it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        own = self.authority.issue("localhost")
        self.person = self.authority.issue("person", common_name="person")
        self.stranger = Authority(folder, "stranger")
        self.port = free_port()
        self.daemon = Daemon(
            folder,
            f"secureClientPort={self.port}\nssl.keyStore.location={own}\n"
            f"ssl.trustStore.location={self.authority.trusted}\nssl.clientAuth=want",
        )
        self.url = f"wss://localhost:{self.port}"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    found = Tls(tmp_path_factory.mktemp("tls"))
    found.daemon.start()
    yield found
    found.daemon.kill()


def test_by_url(tls: Tls) -> None:
    async def scenario() -> None:
        async with Client(f"{tls.url}?ca={tls.authority.trusted}") as client:
            await client.get("/")
            assert "x509" not in dict(await client.whoami())

    run(scenario())


def test_a_certificate_is_an_identity(tls: Tls) -> None:
    async def scenario() -> None:
        url = f"{tls.url}/chroot?ca={tls.authority.trusted}&cert={tls.person}&timeout=7"
        async with Client(url) as client:
            assert dict(await client.whoami())["x509"].startswith("CN=person,")
            assert client.timeout == 7

    run(scenario())


def test_key_and_certificate_may_be_two_files(tls: Tls, tmp_path: Path) -> None:
    whole = tls.person.read_text()
    begin = whole.index("-----BEGIN CERTIFICATE")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    key.write_text(whole[:begin])
    cert.write_text(whole[begin:])
    with BlockingClient(f"{tls.url}?ca={tls.authority.trusted}&cert={cert}&key={key}") as client:
        assert dict(client.whoami())["x509"].startswith("CN=person,")


def test_by_a_context(tls: Tls) -> None:
    async def scenario() -> None:
        context = tls.authority.client(tls.person)
        for servers in (tls.url, f"localhost:{tls.port}"):
            async with Client(servers, ssl=context) as client:
                assert "x509" in dict(await client.whoami())
        with pytest.raises(BadAddress):
            Client(f"{tls.url}?ca={tls.authority.trusted}", ssl=context)

    run(scenario())


@pytest.mark.parametrize("whom", ["an unknown authority", "another name", "the system's authorities"])
def test_whom_it_does_not_trust_it_does_not_talk_to(tls: Tls, whom: str) -> None:
    url = {
        "an unknown authority": f"{tls.url}?ca={tls.stranger.trusted}",
        "another name": f"wss://127.0.0.1:{tls.port}?ca={tls.authority.trusted}",
        "the system's authorities": tls.url,
    }[whom]

    async def scenario() -> None:
        with pytest.raises(NoConnection, match="certificate verify failed"):
            await Client(url, connect_timeout=0.5).__aenter__()

    run(scenario())


def test_a_file_that_can_not_be_read_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Client(f"wss://localhost?ca={tmp_path}/none.pem")


def test_plain_and_tls_do_not_understand_each_other(tls: Tls) -> None:
    async def scenario() -> None:
        plain = "{}:{}".format(*tls.daemon.address)
        for url in (f"localhost:{tls.port}", f"wss://{plain}?ca={tls.authority.trusted}"):
            with pytest.raises(NoConnection):
                await Client(url, connect_timeout=0.3).__aenter__()

    run(scenario())
