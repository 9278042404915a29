"""What several programs do together by znodes: locks, elections, queues, counters (docs/recipes.md).

Layouts of znodes are kazoo's, so that programs with either share a lock.
"""

from .barrier import Barrier, DoubleBarrier
from .contender import Held, LockLost, Lost
from .counter import Counter
from .election import Election, Leader
from .lease import Lease, NonBlockingLease
from .lock import Lock, ReadLock, WriteLock
from .locking_queue import LockingQueue
from .partitioner import PartitionState, SetPartitioner
from .party import Party, ShallowParty
from .queue import Queue
from .semaphore import Semaphore
from .service_registry import ServiceInstance, ServiceRegistry
from .tree_cache import Change, TreeCache
from .watching import ChildrenWatch, DataWatch

__all__ = [
    "Barrier",
    "Change",
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
    "PartitionState",
    "Party",
    "Queue",
    "ReadLock",
    "Semaphore",
    "ServiceInstance",
    "ServiceRegistry",
    "SetPartitioner",
    "ShallowParty",
    "TreeCache",
    "WriteLock",
]
