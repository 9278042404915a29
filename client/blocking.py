"""The client without asyncio, for scripts and threads: each call waits for its answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import wraps
from ssl import SSLContext
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import uvloop

from .client import Client
from .errors import ConnectionClosed
from .session import Credentials
from .transaction import Operations, Result, Transaction
from .values import Event, State
from .watches import Watch

P = ParamSpec("P")
T = TypeVar("T")


def _waiting(
    method: Callable[Concatenate[Client, P], Awaitable[T]],
) -> Callable[Concatenate[BlockingClient, P], T]:
    """The same method, for who waits."""

    @wraps(method)
    def wait(self: BlockingClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.wait(method(self.client, *args, **kwargs))

    return wait


class BlockingClient:
    """As Client, method for method; any number of threads may share one.

    client: the asyncio client that does the work, on a thread of its own; recipes are made of it, and
    entered by `entered`.
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
        max_message: int = 0xFFFFF,
    ) -> None:
        """As Client; on_state is called on the client's thread, and must not wait for anything."""
        self.client = Client(
            servers,
            timeout=timeout,
            connect_timeout=connect_timeout,
            auth=auth,
            ssl=ssl,
            renew=renew,
            on_state=on_state,
            max_message=max_message,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._changing = threading.Lock()

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise ConnectionClosed("a client is opened once: make another one")
        started = threading.Event()
        self._over = asyncio.Event()

        def serve() -> None:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                self._loop = runner.get_loop()
                self._loop.call_soon(started.set)
                runner.run(self._over.wait())

        self._thread = threading.Thread(target=serve, name="znoded client", daemon=True)
        self._thread.start()
        started.wait()
        try:
            self.wait(self.client.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session, and its ephemerals with it."""
        self._check_thread()
        try:
            with suppress(ConnectionClosed):
                self.wait(self.client.close())
        finally:
            self._stop()

    def wait(self, work: Awaitable[T]) -> T:
        """The result of anything that runs on the client's event loop, such as a method of a recipe."""

        async def run() -> T:
            return await work

        try:
            self._check_thread()
            with self._changing:
                if self._loop is None:
                    raise ConnectionClosed("the client is not open: use it in `with`")
                future = asyncio.run_coroutine_threadsafe(run(), self._loop)
        except (RuntimeError, ConnectionClosed):
            if asyncio.iscoroutine(work):
                work.close()
            raise
        try:
            return future.result()
        except CancelledError:  # the loop has ended
            raise ConnectionClosed("the client was closed meanwhile") from None
        except BaseException:  # Ctrl-C, for one
            future.cancel()
            raise

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """`with` for an `async with`: `with c.entered(Lock(c.client, "/lock")) as held:`."""
        found = self.wait(manager.__aenter__())
        try:
            yield found
        except BaseException as error:
            if not self.wait(manager.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self.wait(manager.__aexit__(None, None, None))

    def each(self, items: AsyncIterable[T]) -> Iterator[T]:
        """`for` for an `async for`; it waits for each."""
        ahead = aiter(items)

        async def following() -> T:
            return await anext(ahead)

        while True:
            try:
                found = self.wait(following())
            except StopAsyncIteration:
                return
            yield found

    @property
    def state(self) -> State:
        """Of the session, now."""
        return self.client.state

    @property
    def session(self) -> tuple[int, bytes]:
        """Its id and its password; ConnectionClosed if there is none."""
        return self.client.session

    @property
    def timeout(self) -> float:
        """The session's, in seconds, as a server granted it; ConnectionClosed if there is none."""
        return self.client.timeout

    def states(self) -> Iterator[State]:
        """The states to come, the present one first."""

        async def begin() -> AsyncIterable[State]:
            return self.client.states()

        return self.each(self.wait(begin()))

    def walk(self, path: str = "/", *, timeout: float | None = None) -> Iterator[str]:
        """The path of a znode and of all below it, each before those below it."""
        return self.each(self.client.walk(path, timeout=timeout))

    def transaction(self) -> BlockingTransaction:
        """Several changes as one: `with client.transaction() as t: t.check(...).set(...)`."""
        return BlockingTransaction(self.client.transaction(), self)

    @contextmanager
    def watch(self, path: str, *, recursive: bool = False, limit: int = 1000) -> Iterator[Iterator[Event]]:
        """`with client.watch("/a") as events: for event in events:`; as Client.watch otherwise."""

        async def begin() -> Watch:
            return await self.client.watch(path, recursive=recursive, limit=limit).ready()

        async def end() -> None:
            watch.close()

        watch = self.wait(begin())
        try:
            yield self.each(watch)
        finally:
            self.wait(end())

    add_auth = _waiting(Client.add_auth)
    whoami = _waiting(Client.whoami)
    create = _waiting(Client.create)
    get = _waiting(Client.get)
    set = _waiting(Client.set)
    delete = _waiting(Client.delete)
    exists = _waiting(Client.exists)
    children = _waiting(Client.children)
    acl = _waiting(Client.acl)
    set_acl = _waiting(Client.set_acl)
    sync = _waiting(Client.sync)
    ensure_path = _waiting(Client.ensure_path)
    ephemerals = _waiting(Client.ephemerals)
    count = _waiting(Client.count)
    reconfig = _waiting(Client.reconfig)

    def _check_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("the client's own thread would wait for itself: use `client` there")

    def _stop(self) -> None:
        with self._changing:
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(self._over.set)
        if self._thread is not None:
            self._thread.join()


class BlockingTransaction(Operations):
    """As Transaction; `commit` waits."""

    def __init__(self, transaction: Transaction, client: BlockingClient) -> None:
        super().__init__(transaction.full)
        self.gathered = transaction.gathered
        self._transaction = transaction
        self._client = client

    def commit(self, *, timeout: float | None = None) -> list[Result]:
        """Have all done; TransactionFailed if one is refused. Gathers anew from then on."""
        self.results = self._client.wait(self._transaction.commit(timeout=timeout))
        return self.results

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.commit()
