"""ZAB, our own: election, discovery, synchronization and broadcast, in a core that does no I/O."""
