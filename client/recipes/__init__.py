"""What several programs do together by znodes: locks, elections, barriers (docs/recipes.md).

Layouts of znodes are kazoo's, so that programs with either share a lock.
"""

from .contender import Held, LockLost, Lost
from .lock import Lock, ReadLock, WriteLock

__all__ = [
    "Held",
    "Lock",
    "LockLost",
    "Lost",
    "ReadLock",
    "WriteLock",
]
