"""What is kept: the znode state machine, the key-value engines under it, the log."""
