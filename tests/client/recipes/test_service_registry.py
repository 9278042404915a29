"""Services are found while somebody serves them, in znodes as Curator's."""

from __future__ import annotations

import json

import pytest

from znoded.client import BadArguments, Client
from znoded.client.recipes import ServiceInstance, ServiceRegistry

from .scenes import clients, end_session, play

CURATOR_S = (
    b'{"name":"billing","id":"8f1d2a52-0fd2-4ed9-9d15-9e0f0b0e6b1a","address":"10.0.0.7","port":8080,'
    b'"sslPort":null,"payload":{"@class":"com.example.Details","zone":"a"},"registrationTimeUTC":1325129459728,'
    b'"serviceType":"DYNAMIC","uriSpec":{"parts":[{"value":"scheme","variable":true},{"value":"://","variable":false},'
    b'{"value":"address","variable":true},{"value":":","variable":false},{"value":"port","variable":true}]},'
    b'"enabled":true}'
)


def test_an_instance_is_written_as_curator_s() -> None:
    instance = ServiceInstance.decode(CURATOR_S)
    assert instance == ServiceInstance(
        "billing",
        "8f1d2a52-0fd2-4ed9-9d15-9e0f0b0e6b1a",
        "10.0.0.7",
        8080,
        payload={"@class": "com.example.Details", "zone": "a"},
        registered=1325129459728,
        uri_spec="{scheme}://{address}:{port}",
    )
    assert instance.encode() == CURATOR_S
    assert instance.uri() == "http://10.0.0.7:8080"


def test_what_older_curators_leave_out_has_its_default() -> None:
    instance = ServiceInstance.decode(b'{"name": "a", "id": "1", "port": null, "serviceType": "STATIC"}')
    assert instance == ServiceInstance("a", "1", registered=0, service_type="STATIC")
    assert instance.uri() is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"name": "a"}',
        b'{"name": "a", "id": 1}',
        b'{"name": "a", "id": "1", "port": "80"}',
        b'{"name": "a", "id": "1", "port": true}',
        b'{"name": "a", "id": "1", "uriSpec": {"parts": [1]}}',
        b'{"name": "a", "id": "1", "uriSpec": []}',
    ],
)
def test_what_is_no_instance(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        ServiceInstance.decode(data)


def test_services_are_found(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (client, other):
            mine, theirs = (ServiceRegistry(each, "/services/all") for each in (client, other))
            assert await theirs.names() == []
            assert await theirs.instances("web") == []
            web = ServiceInstance("web", "1", "127.0.0.1", 80)
            async with mine.register(web), theirs.register(ServiceInstance("mail", port=25)) as mail:
                assert await theirs.names() == ["mail", "web"]
                assert await theirs.instances("web") == [web]
                assert await mine.instances("mail") == [mail]
                assert (await client.get("/services/all/web/1")).stat.ephemeral_owner == client.session[0]
                await client.create("/services/all/web/0", b"is none")
                assert await theirs.instances("web") == [web]
            assert await mine.instances("web") == []
            with pytest.raises(BadArguments):
                async with mine.register(ServiceInstance("web", "..")):
                    pass

    play(scene())


def test_who_looks_is_told_of_changes(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (client, other):
            registry = ServiceRegistry(client, "/services/told")
            found = ServiceRegistry(other, "/services/told").watch("web")
            assert await anext(found) == []
            one, two = ServiceInstance("web", "1"), ServiceInstance("web", "2")
            async with registry.register(one):
                assert await anext(found) == [one]
                async with registry.register(two):
                    assert await anext(found) == [one, two]
                    other_one = ServiceInstance("web", "1", payload=[1, {"a": None}])
                    await client.set("/services/told/web/1", other_one.encode())
                    assert await anext(found) == [other_one, two]
                assert await anext(found) == [other_one]
            assert await anext(found) == []

    play(scene())


def test_a_service_comes_again_with_the_next_session(server: str) -> None:
    async def scene() -> None:
        async with Client(server, renew=True) as client, Client(server) as other:
            found = ServiceRegistry(other, "/services/again").watch("web")
            assert await anext(found) == []
            async with ServiceRegistry(client, "/services/again").register(ServiceInstance("web")) as web:
                assert await anext(found) == [web]
                await end_session(client, server)
                while (instances := await anext(found)) == []:
                    pass
                assert instances == [web]

    play(scene())


def test_who_was_here_before_is_replaced(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (before, now):
            web = ServiceInstance("web", "1", payload="before")
            async with ServiceRegistry(before, "/services/heir").register(web):
                heir = ServiceInstance("web", "1", payload="now")
                async with ServiceRegistry(now, "/services/heir").register(heir):
                    assert await ServiceRegistry(before, "/services/heir").instances("web") == [heir]

    play(scene())


def test_json_must_know_a_payload() -> None:
    with pytest.raises(TypeError):
        ServiceInstance("web", payload={1, 2}).encode()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="JSON"):
        ServiceInstance("web", payload=float("nan")).encode()
    assert json.loads(ServiceInstance("web").encode())["uriSpec"] is None
