"""A process to be cut: writes to a log and flushes into LMDB as a server does, and says what it acknowledges.

python log_and_lmdb.py DIRECTORY WRITES
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import lmdb

from znoded.storage.log import Log

KEYS = 12
FLUSH = 7
MAP = 8 << 20


def value(zxid: int, key: int) -> bytes:
    """What every key holds once zxid is applied: long enough to move pages about."""
    return b"%d:%d;" % (zxid, key) * 60


def main(directory: Path, writes: int) -> None:
    log = Log(directory / "log", segment_size=8192)
    base = directory / "lmdb"
    base.mkdir()
    env = lmdb.open(str(base), map_size=MAP)
    flush(env, 0)
    # LMDB syncs its file's bytes, not its name.
    for place in (base, directory):
        fd = os.open(place, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    say("flushed", 0)
    for zxid in range(1, writes + 1):
        log.append(zxid, value(zxid, 0))
        log.sync()
        say("synced", zxid)
        if zxid % FLUSH == 0:
            flush(env, zxid)
            say("flushed", zxid)
            log.drop(zxid)


def flush(env: lmdb.Environment, zxid: int) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"applied", b"%d" % zxid)
        for key in range(KEYS):
            txn.put(b"%d" % key, value(zxid, key))


def say(what: str, zxid: int) -> None:
    os.write(1, f"{what} {zxid}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
