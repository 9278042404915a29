"""What several programs do together by znodes: locks, elections, queues, counters (docs/recipes.md).

Layouts of znodes are kazoo's, so that programs with either share a lock.
"""

from .contender import Held, LockLost, Lost
from .counter import Counter
from .lock import Lock, ReadLock, WriteLock
from .queue import LockingQueue, Queue
from .watching import ChildrenWatch, DataWatch

__all__ = [
    "ChildrenWatch",
    "Counter",
    "DataWatch",
    "Held",
    "Lock",
    "LockLost",
    "LockingQueue",
    "Lost",
    "Queue",
    "ReadLock",
    "WriteLock",
]
