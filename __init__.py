"""znoded: a coordination daemon (znodes, sessions, ephemerals, watches, majority writes)."""
