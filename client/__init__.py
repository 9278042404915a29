"""The room of the asyncio client, its recipes and the `znode` shell; other rooms never import it.

`from znoded.client import Client` is all that most programs need; docs/client.md tells the rest.
"""

from ..storage.acl import ADMIN, ALL, CREATE, DELETE, READ, WRITE, Acl
from .blocking import BlockingClient
from .client import Client
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
from .transaction import Transaction
from .values import Created, Event, Got, Kind, Stat, State
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
