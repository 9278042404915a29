"""The asyncio client: znodes, transactions and watches over one session."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self, TypedDict, cast
from weakref import WeakSet

from ..storage.acl import Acl
from . import address as addresses
from .connection import Call
from .errors import (
    BadAddress,
    BadVersion,
    ClientError,
    ConnectionClosed,
    NodeExists,
    NoNode,
    NotEmpty,
    OutcomeUnknown,
    SessionExpired,
    TimedOut,
    TransactionFailed,
    refusal,
)
from .feed import Feed
from .requests import (
    Made,
    acl_of,
    as_credentials,
    as_text,
    create_arguments,
    full_path,
    versioned,
    with_data,
)
from .session import Credentials, Session
from .transaction import Operation, Result, Transaction
from .values import Created, Got, Stat, State
from .watches import Registry, Watch

_LARGEST: Final = 0xFFFFF
"""Bytes of a message that servers take unless they are configured otherwise (jute.maxbuffer)."""
_AT_ONCE: Final = 256
"""Requests that a walk has on the way."""
_STATES: Final = 1000
"""Changes of state that may wait for a reader."""


class _Fields(TypedDict, total=False):
    """What answers consist of (docs/websocket.md)."""

    path: str
    data: bytes | None
    stat: dict[str, int]
    children: list[str]
    acl: list[dict[str, int | str]]
    results: list[tuple[int, object]]
    paths: list[str]
    number: int
    identities: list[dict[str, str]]


class Client:
    """A session with the service, kept over all its servers.

    Any number of calls may wait at the same time: they travel together, are done in the order they were
    made, and the answers come in that order. While there is no connection they wait.

    What was not sent is sent later; reads that were not answered are asked again. A change that was sent and
    not answered raises OutcomeUnknown: it was made, or it was not. So do changes behind it in the line that
    was lost. Each call takes a `timeout` in seconds, of each request that it makes; on a read and on what was
    not sent it raises TimedOut. A call whose task is cancelled is not sent any more; if it was, it may be
    done. A server's refusals are in `znoded.client.errors`, each a class, with the path in its message.
    """

    def __init__(
        self,
        servers: str,
        *,
        timeout: float = 10.0,
        connect_timeout: float = 15.0,
        auth: Sequence[Credentials] = (),
        ssl: SSLContext | None = None,
        renew: bool = False,
        on_state: Callable[[State], None] | None = None,
        max_message: int = _LARGEST,
    ) -> None:
        """servers: `h1:2181,h2:2181/chroot`, or a URL (znoded.client.address.parse; what it says goes before
        what is given here). timeout: seconds of silence after which the session ends; a server may grant
        others. connect_timeout: seconds for the first connection. auth: (scheme, credentials) each, such as
        ("digest", b"user:password"). ssl: speak TLS, by a context of one's own. renew: go on with a new
        session when one expires, instead of raising SessionExpired from then on; changes that wait when it
        does raise it once. on_state: is called with each new state. max_message: the servers' jute.maxbuffer,
        in bytes.

        Raises BadAddress, ValueError and TypeError for what is wrong here, OSError if a file can't be read.
        """
        found = addresses.parse(servers)
        if ssl is not None:
            if found.ca or found.cert:
                raise BadAddress("ca, cert and key are for who gives no context of their own")
            found = replace(found, tls=True)
        seconds = found.timeout or timeout
        if not 0 < seconds < addresses.LONGEST:
            raise ValueError(f"{seconds} is no timeout in seconds")
        self._root = found.root
        credentials = [as_credentials(scheme, shown) for scheme, shown in auth]
        if found.user:
            credentials.append(("digest", found.user.encode()))
        self._connect_timeout = connect_timeout
        self._on_state = on_state
        self._feeds: WeakSet[Feed[State]] = WeakSet()
        self._registry = Registry(self._root, self._submit)
        self._full = partial(full_path, self._root)
        self._session = Session(
            found,
            seconds,
            credentials,
            tls=ssl or found.context(),
            renew=renew,
            largest=max_message,
            on_event=self._registry.told,
            rearm=self._registry.rearm,
            on_state=self._changed,
        )

    async def __aenter__(self) -> Self:
        await self._session.start(self._connect_timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session, and its ephemerals with it."""
        await self._session.close()

    # the session

    @property
    def state(self) -> State:
        """Of the session, now."""
        return self._session.state

    @property
    def renews(self) -> bool:
        """Whether a session that expires is followed by another."""
        return self._session.renews

    def states(self) -> Feed[State]:
        """An async iterator over the states to come, the present one first; it ends with the client."""
        feed: Feed[State] = Feed(_STATES)
        feed.put(self.state)
        if self._session.ended:
            feed.end()
        self._feeds.add(feed)
        return feed

    @property
    def session(self) -> tuple[int, bytes]:
        """Its id and its password; ConnectionClosed if there is none."""
        granted = self._session.granted
        if granted is None:
            raise ConnectionClosed("there is no session")
        return granted.session, granted.password

    @property
    def timeout(self) -> float:
        """The session's, in seconds, as a server granted it; ConnectionClosed if there is none."""
        granted = self._session.granted
        if granted is None:
            raise ConnectionClosed("there is no session")
        return granted.timeout

    @property
    def alive_until(self) -> float:
        """When the session can expire at the earliest, by the event loop's clock: a server has heard of this
        client one timeout before. Minus infinity without a session. (A server that is not the leader tells
        it within half a tick what it heard; one that dies or is cut off before has told too little, and
        what must never be done twice also needs a fencing token.)"""
        return self._session.alive_until

    async def add_auth(self, scheme: str, credentials: bytes, *, timeout: float | None = None) -> None:
        """Show an identity (`digest` and user:password), on every connection from now on; AuthFailed if it
        is refused."""
        scheme, credentials = as_credentials(scheme, credentials)
        await self._ask("auth", {"scheme": scheme, "credentials": credentials}, timeout=timeout)
        self._session.remember(scheme, credentials)

    async def whoami(self, *, timeout: float | None = None) -> list[tuple[str, str]]:
        """The identities that the server knows this client by: (scheme, id) each."""
        found = await self._ask("whoAmI", {}, timeout=timeout)
        return [(each["scheme"], each["id"]) for each in found["identities"]]

    # znodes

    async def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        acl: Sequence[Acl] | None = None,
        ephemeral: bool = False,
        sequential: bool = False,
        container: bool = False,
        ttl: float | None = None,
        parents: bool = False,
        timeout: float | None = None,
    ) -> Created:
        """Make a znode; its path and stat.

        acl: all to all if None. ephemeral: it ends with the session. sequential: ten digits that only rise
        are put behind its name. container: it is deleted some time after its last child. ttl: seconds
        without a change or children after which it is deleted. parents: make those that are missing, too.
        Raises NodeExists, NoNode (no parent), NoChildrenForEphemerals, NoAuth, InvalidACL, QuotaExceeded.
        """
        full = self._full(path, sequential)
        made = create_arguments(full, data, acl, ephemeral, sequential, container, ttl)
        try:
            found = await self._ask("create", made, path, safe=False, timeout=timeout)
        except NoNode:
            if not parents:
                raise
            await self.ensure_path(path.rpartition("/")[0] or "/", acl=acl, timeout=timeout)
            found = await self._ask("create", made, path, safe=False, timeout=timeout)
        return Created(self._registry.shown(found["path"]), Stat.of(found["stat"]))

    async def get(self, path: str, *, timeout: float | None = None) -> Got:
        """A znode's data and stat. Raises NoNode, NoAuth."""
        found = await self._ask("get", {"path": self._full(path)}, path, timeout=timeout)
        return Got(found["data"] or b"", Stat.of(found["stat"]))

    async def set(self, path: str, data: bytes, version: int = -1, *, timeout: float | None = None) -> Stat:
        """Change a znode's data, if it has that version (-1: any). Raises BadVersion, NoNode, NoAuth,
        QuotaExceeded."""
        made = with_data(versioned(self._full(path), version), data)
        found = await self._ask("set", made, path, safe=False, timeout=timeout)
        return Stat.of(found["stat"])

    async def delete(
        self, path: str, version: int = -1, *, recursive: bool = False, timeout: float | None = None
    ) -> None:
        """Delete a znode, if its data has that version (-1: any). recursive: all below it first, also what
        comes meanwhile; what others delete meanwhile is as well. Raises BadVersion, NoNode, NotEmpty, NoAuth.
        """
        made = versioned(self._full(path), version)
        if recursive and version != -1 and (await self.get(path, timeout=timeout)).stat.version != version:
            raise BadVersion(path)
        while True:
            if recursive:
                below = [found async for found in self.walk(path)]
                for level in _deepest_first(below[1:]):
                    await self._delete_all(level, timeout)
            try:
                await self._ask("delete", made, path, safe=False, timeout=timeout)
            except NotEmpty:
                if not recursive:
                    raise
            else:
                return

    async def exists(self, path: str, *, timeout: float | None = None) -> Stat | None:
        """A znode's stat; None if there is none."""
        try:
            found = await self._ask("exists", {"path": self._full(path)}, path, timeout=timeout)
        except NoNode:
            return None
        return Stat.of(found["stat"])

    async def children(self, path: str, *, timeout: float | None = None) -> list[str]:
        """The names below a znode, sorted. Raises NoNode, NoAuth."""
        found = await self._ask("children", {"path": self._full(path)}, path, timeout=timeout)
        return sorted(found["children"])

    async def acl(self, path: str, *, timeout: float | None = None) -> tuple[list[Acl], Stat]:
        """A znode's ACL, and its stat. Raises NoNode, NoAuth."""
        found = await self._ask("getACL", {"path": self._full(path)}, path, timeout=timeout)
        entries = [Acl(int(each["perms"]), str(each["scheme"]), str(each["id"])) for each in found["acl"]]
        return entries, Stat.of(found["stat"])

    async def set_acl(
        self, path: str, acl: Sequence[Acl], version: int = -1, *, timeout: float | None = None
    ) -> Stat:
        """Change a znode's ACL, if it has that version (stat.aversion; -1: any). Raises BadVersion,
        InvalidACL, NoNode, NoAuth."""
        made = versioned(self._full(path), version)
        made["acl"] = acl_of(path, acl)
        return Stat.of((await self._ask("setACL", made, path, safe=False, timeout=timeout))["stat"])

    async def sync(self, path: str = "/", *, timeout: float | None = None) -> None:
        """What is read afterwards shows all that was done, by anybody and on any server, before this."""
        await self._ask("sync", {"path": self._full(path)}, path, timeout=timeout)

    async def ensure_path(
        self, path: str, *, acl: Sequence[Acl] | None = None, timeout: float | None = None
    ) -> None:
        """Make a znode, and all above it, where they are missing."""
        parts = path.split("/")[1:] if path != "/" else []
        if self._root:  # the chroot itself may be missing, too
            full = self._full(path)
            parts = full.split("/")[1:]
        above = ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]
        if not above or await self._is_there(above[-1], timeout):
            return
        for whole in above:
            await self._ensure(whole, acl, timeout)

    async def walk(self, path: str = "/", *, timeout: float | None = None) -> AsyncIterator[str]:
        """The path of a znode and of all below it, each before those below it; those that others delete
        meanwhile may be left out. Raises NoNode if there is none, NoAuth if one of them may not be read."""
        ahead: deque[tuple[str, asyncio.Task[list[str]]]] = deque()
        late = deque([path])
        first = True
        try:
            while late or ahead:
                while late and len(ahead) < _AT_ONCE:
                    found = late.popleft()
                    ahead.append((found, asyncio.create_task(self.children(found, timeout=timeout))))
                found, task = ahead.popleft()
                try:
                    names = await task
                except NoNode:
                    if first:
                        raise
                    continue
                first = False
                yield found
                late.extend(f"{found.rstrip('/')}/{name}" for name in names)
        finally:
            for _, task in ahead:
                task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)

    async def ephemerals(self, path: str = "/", *, timeout: float | None = None) -> list[str]:
        """The paths of this session's ephemerals that begin so, sorted."""
        full = self._full(path)
        found = await self._ask("getEphemerals", {"path": full}, path, timeout=timeout)
        return sorted(map(self._registry.shown, found["paths"]))

    async def count(self, path: str = "/", *, timeout: float | None = None) -> int:
        """How many znodes there are below that one. Raises NoNode."""
        made: Made = {"path": self._full(path)}
        return (await self._ask("getAllChildrenNumber", made, path, timeout=timeout))["number"]

    def transaction(self) -> Transaction:
        """Several changes as one: `async with client.transaction() as t: t.check(...).set(...)`."""
        return Transaction(self._commit, self._full)

    def watch(self, path: str, *, recursive: bool = False, limit: int = 1000) -> Watch:
        """The events of a path, or of all below it, as an async iterator that is awake from now on.

        The znode need not exist. limit: events that wait to be read; if there are more, one of kind MISSED
        takes their place. So it does after the connection was lost: read again what you watch.
        """
        return self._registry.watch(self._full(path), recursive, limit)

    async def reconfig(
        self,
        joining: str = "",
        leaving: str = "",
        members: str = "",
        version: int = -1,
        *,
        timeout: float | None = None,
    ) -> Got:
        """Change an ensemble's members. Raises ReconfigDisabled where they stand in the configuration."""
        made = versioned("", version)
        del made["path"]
        for name, text in (("joining", joining), ("leaving", leaving), ("members", members)):
            made[name] = as_text(text)
        found = await self._ask("reconfig", made, safe=False, timeout=timeout)
        return Got(found["data"] or b"", Stat.of(found["stat"]))

    # how they are asked

    async def _ask(
        self,
        name: str,
        arguments: Made,
        path: str = "",
        *,
        safe: bool = True,
        timeout: float | None = None,
    ) -> _Fields:
        """The result; raises the refusal. path: as the caller knows it."""
        call = Call(name, arguments, path, safe=safe)
        self._session.submit(call)
        if timeout is None:
            code, result = await call.answer
        else:
            try:
                async with asyncio.timeout(timeout):
                    code, result = await call.answer
            except TimeoutError:
                where = f"{path}: " if path else ""
                if call.sent and not safe:
                    raise OutcomeUnknown(f"{where}no answer to {name} within {timeout:g} s") from None
                raise TimedOut(f"{where}no answer to {name} within {timeout:g} s") from None
        if code:
            raise refusal(code, str(result), path)
        return cast(_Fields, result)

    async def _commit(self, operations: Sequence[Operation], timeout: float | None) -> list[Result]:
        parts = [[name, arguments] for name, arguments, _ in operations]
        found = await self._ask("multi", {"ops": parts}, safe=False, timeout=timeout)
        outcomes = found["results"]
        # One that failed has (0, None) before it, and a code that says so behind it.
        for index, ((code, result), (_, _, path)) in enumerate(zip(outcomes, operations, strict=True)):
            if code:
                raise TransactionFailed(index, refusal(code, str(result), path))
        results: list[Result] = []
        for (_, result), (name, _, _) in zip(outcomes, operations, strict=True):
            fields = cast(_Fields, result)
            if name == "create":
                results.append(Created(self._registry.shown(fields["path"]), Stat.of(fields["stat"])))
            else:
                results.append(Stat.of(fields["stat"]) if name == "set" else None)
        return results

    async def _is_there(self, full: str, timeout: float | None) -> bool:
        try:
            await self._ask("exists", {"path": full}, timeout=timeout)
        except NoNode:
            return False
        return True

    async def _ensure(self, full: str, acl: Sequence[Acl] | None, timeout: float | None) -> None:
        """Make one znode unless it is there; twice is as good as once."""
        made = create_arguments(full, b"", acl, False, False, False, None)
        try:
            await self._ask("create", made, self._registry.shown(full), timeout=timeout)
        except NodeExists:
            pass
        except ClientError:
            # Who may not create it may still find it there.
            if not await self._is_there(full, timeout):
                raise

    async def _delete_all(self, paths: Sequence[str], timeout: float | None) -> None:
        """Delete these, in turns; what has gone already, or has children again, is passed over."""
        for begin in range(0, len(paths), _AT_ONCE):
            made = [(path, versioned(self._full(path), -1)) for path in paths[begin : begin + _AT_ONCE]]
            asked = [self._ask("delete", each, path, timeout=timeout) for path, each in made]
            for outcome in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, NoNode | NotEmpty):
                    raise outcome

    # what happens

    def _submit(self, call: Call) -> None:
        self._session.submit(call)

    def _changed(self, state: State) -> None:
        for feed in tuple(self._feeds):
            feed.put(state)
        if self._session.ended:
            for feed in tuple(self._feeds):
                feed.end()
            self._registry.end(SessionExpired if state is State.EXPIRED else StopAsyncIteration)
        if self._on_state is not None:
            try:
                self._on_state(state)
            except Exception as error:  # the session does not end of it
                what = {"message": "a client's on_state failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(what)


def _deepest_first(paths: Sequence[str]) -> list[list[str]]:
    """By how deep they are."""
    levels: dict[int, list[str]] = {}
    for path in paths:
        levels.setdefault(path.count("/"), []).append(path)
    return [levels[depth] for depth in sorted(levels, reverse=True)]
