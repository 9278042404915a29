"""What several programs do together by znodes: locks, elections, queues, counters (docs/recipes.md).

Layouts of znodes are kazoo's, so that programs with either share a lock.
"""

from .barrier import Barrier, DoubleBarrier
from .contender import Held, LockLost, Lost
from .counter import Counter
from .election import Election, Leader
from .lease import Lease, NonBlockingLease
from .lock import Lock, ReadLock, WriteLock
from .queue import LockingQueue, Queue
from .semaphore import Semaphore
from .watching import ChildrenWatch, DataWatch

__all__ = [
    "Barrier",
    "ChildrenWatch",
    "Counter",
    "DataWatch",
    "DoubleBarrier",
    "Election",
    "Held",
    "Leader",
    "Lease",
    "Lock",
    "LockLost",
    "LockingQueue",
    "Lost",
    "NonBlockingLease",
    "Queue",
    "ReadLock",
    "Semaphore",
    "WriteLock",
]
