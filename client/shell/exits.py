"""Exit codes, and the sentences that errors are told in: zkCli's, where they are clear."""

from __future__ import annotations

from typing import Final

import click

from ..errors import (
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
    OutcomeUnknown,
    QuotaExceeded,
    SessionExpired,
    TimedOut,
    TransactionFailed,
)


class Lost(ClientError):
    """What a program ran under is gone, and the program was ended."""


FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
TERMINATED: Final = 143

CODES: Final = (
    (FAILED, "it failed, for a reason that has no code of its own", ()),
    (
        USAGE,
        "a command, option, path or address that is none",
        (click.UsageError, UnicodeError, BadArguments, BadAddress, InvalidACL),
    ),
    (3, "no such znode", (NoNode,)),
    (4, "the znode exists already", (NodeExists,)),
    (5, "the znode has another version", (BadVersion,)),
    (6, "not permitted, or credentials refused", (NoAuth, AuthFailed)),
    (7, "the znode has children", (NotEmpty,)),
    (
        8,
        "no connection, or the session has expired",
        (NoConnection, ConnectionClosed, SessionExpired, TimedOut, Lost),
    ),
    (9, "a change was sent, and its outcome is unknown", (OutcomeUnknown,)),
    (INTERRUPTED, "Ctrl-C", ()),
)
"""Code, what it means, and which errors end so; 0 is success."""

_SENTENCES: Final[dict[type[ClientError], str]] = {
    NoNode: "Node does not exist: {}",
    NodeExists: "Node already exists: {}",
    NotEmpty: "Node not empty: {}",
    NoAuth: "Insufficient permission: {}",
    BadVersion: "Version does not match: {}",
    NoChildrenForEphemerals: "Ephemerals cannot have children: {}",
    InvalidACL: "Acl is not valid: {}",
    QuotaExceeded: "Quota exceeded: {}",
}


def code(error: Exception) -> int:
    """What a command that failed so exits with."""
    if isinstance(error, TransactionFailed):
        error = error.cause
    for number, _, kinds in CODES:
        if isinstance(error, kinds):
            return number
    return FAILED


def sentence(error: Exception) -> str:
    """Why it failed, in a line."""
    if isinstance(error, TransactionFailed):
        error = error.cause
    if isinstance(error, click.ClickException):
        return error.format_message()
    told = _SENTENCES.get(type(error)) if isinstance(error, ClientError) else None
    path: str = getattr(error, "path", "")
    if told is not None and path:
        return told.format(path)
    return str(error) or type(error).__name__
