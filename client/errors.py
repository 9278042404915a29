"""What can go wrong for a client, a class for each."""

from __future__ import annotations

from typing import ClassVar

from ..storage.errors import Code


class ClientError(Exception):
    """All that this client raises by itself."""


class NoConnection(ClientError):
    """No server took the client in time; the message says why the last one did not."""


class ConnectionClosed(ClientError):
    """The client was closed, or was never opened."""


class OutcomeUnknown(ClientError):
    """A change was sent, or waited behind one that was, and its answer will not come: it was made, or it was
    not. Look before you try again. (A connection loss in ZooKeeper's terms.)"""


class TimedOut(ClientError, TimeoutError):
    """A request was not answered in its time. It was a read, or was not sent, and has changed nothing; what
    may be done twice (ensure_path, add_auth, sync) may have been done."""


class BadAddress(ClientError, ValueError):
    """What should name servers does not."""


class Refused(ClientError):
    """A server answered that it will not; code is ZooKeeper's (KeeperException.Code), path what was asked
    of, empty when that is no znode."""

    code: ClassVar[Code] = Code.SYSTEMERROR
    text: ClassVar[str] = "the server can't do it now"

    def __init__(self, path: str = "", text: str = "") -> None:
        super().__init__(f"{path}: {text or self.text}" if path else text or self.text)
        self.path = path


class ServerError(Refused):
    """The server could not write (a full disk, for one): nothing was changed; try again."""


class BadArguments(Refused):
    """A path that breaks a rule, or an option that does not fit (PathUtils.validatePath)."""

    code = Code.BADARGUMENTS
    text = "is no path of a znode, or an option does not fit"


class TooLarge(BadArguments):
    """More than a message may hold (jute.maxbuffer)."""

    text = "is too large for a message"


class Unimplemented(Refused):
    """The server knows no such request."""

    code = Code.UNIMPLEMENTED
    text = "the server knows no such request"


class NoNode(Refused):
    """There is no such znode; of a create, no parent."""

    code = Code.NONODE
    text = "no such znode"


class NodeExists(Refused):
    """There is such a znode already."""

    code = Code.NODEEXISTS
    text = "exists already"


class NotEmpty(Refused):
    """A znode with children is not deleted."""

    code = Code.NOTEMPTY
    text = "has children"


class BadVersion(Refused):
    """The znode has another version than the one that was asked for."""

    code = Code.BADVERSION
    text = "has another version"


class NoAuth(Refused):
    """The znode's ACL does not permit it."""

    code = Code.NOAUTH
    text = "not permitted"


class NoChildrenForEphemerals(Refused):
    """An ephemeral can't have children."""

    code = Code.NOCHILDRENFOREPHEMERALS
    text = "its parent is ephemeral, and can't have children"


class InvalidACL(Refused):
    """An ACL that is empty, or names an unknown scheme or a malformed id."""

    code = Code.INVALIDACL
    text = "no valid ACL"


class AuthFailed(Refused):
    """Credentials were refused. If they were given to begin with, the client is closed."""

    code = Code.AUTHFAILED
    text = "the credentials were refused"


class SessionExpired(Refused):
    """The session is over, its ephemerals with it: nothing was heard of this client for too long."""

    code = Code.SESSIONEXPIRED
    text = "the session has expired"


class SessionMoved(Refused):
    """The session went on over another connection before this request came: it changed nothing."""

    code = Code.SESSIONMOVED
    text = "the session has moved to another connection"


class NoWatcher(Refused):
    """There is no such watch."""

    code = Code.NOWATCHER
    text = "is not watched"


class ReconfigDisabled(Refused):
    """The members of this ensemble stand in its configuration, and do not change by request."""

    code = Code.RECONFIGDISABLED
    text = "reconfiguration is disabled"


class QuotaExceeded(Refused):
    """A quota that is enforced would be exceeded."""

    code = Code.QUOTAEXCEEDED
    text = "the quota would be exceeded"


class TransactionFailed(ClientError):
    """A transaction was refused: nothing of it was done. cause says why, index which operation it was,
    from 0."""

    def __init__(self, index: int, cause: Refused) -> None:
        super().__init__(f"operation {index} of the transaction: {cause}")
        self.index = index
        self.cause = cause


_BY_CODE = {int(kind.code): kind for kind in Refused.__subclasses__()}


def refusal(code: int, name: str, path: str = "") -> Refused:
    """The error for a code that a server answered with; name is the server's for it."""
    kind = _BY_CODE.get(code)
    return kind(path) if kind is not None else Refused(path, f"{name} ({code})")
