"""The room of the asyncio client, its recipes and the `znode` shell; other rooms never import it.

`from znoded.client import Client` is all that most programs need; docs/client.md tells the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ..storage.acl import ADMIN, ALL, CREATE, DELETE, READ, WRITE, Acl
from .errors import (
    AuthFailed,
    BadAddress,
    BadArguments,
    BadVersion,
    ClientError,
    ConnectionClosed,
    InvalidACL,
    NoAuth,
    NoChildrenForEphemerals,
    NoConnection,
    NodeExists,
    NoNode,
    NotEmpty,
    NoWatcher,
    OutcomeUnknown,
    QuotaExceeded,
    ReconfigDisabled,
    Refused,
    ServerError,
    SessionExpired,
    SessionMoved,
    TimedOut,
    TooLarge,
    TransactionFailed,
    Unimplemented,
)
from .values import Created, Event, Got, Kind, Stat, State

if TYPE_CHECKING:
    from .blocking import BlockingClient
    from .client import Client
    from .transaction import Transaction
    from .watches import Watch

__all__ = [
    "ADMIN",
    "ALL",
    "CREATE",
    "DELETE",
    "READ",
    "WRITE",
    "Acl",
    "AuthFailed",
    "BadAddress",
    "BadArguments",
    "BadVersion",
    "BlockingClient",
    "Client",
    "ClientError",
    "ConnectionClosed",
    "Created",
    "Event",
    "Got",
    "InvalidACL",
    "Kind",
    "NoAuth",
    "NoChildrenForEphemerals",
    "NoConnection",
    "NoNode",
    "NoWatcher",
    "NodeExists",
    "NotEmpty",
    "OutcomeUnknown",
    "QuotaExceeded",
    "ReconfigDisabled",
    "Refused",
    "ServerError",
    "SessionExpired",
    "SessionMoved",
    "Stat",
    "State",
    "TimedOut",
    "TooLarge",
    "Transaction",
    "TransactionFailed",
    "Unimplemented",
    "Watch",
]

# With these come aiohttp and uvloop, which take longer to import than `znode --help` should.
_LATE = {
    "BlockingClient": "blocking",
    "Client": "client",
    "Transaction": "transaction",
    "Watch": "watches",
}

if not TYPE_CHECKING:  # a checker is to know of no other names

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f".{_LATE[name]}", __name__), name)
        return found
