"""A queue in which everybody's first waits before anybody's second."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items of several owners: each owner's in the order in which they came, the owners in turn. Not thread-safe."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()

    def put(self, owner: str, item: T) -> None:
        self._queues.setdefault(owner, deque()).append(item)

    def take(self) -> T:
        """The next item, whose owner then waits for all others. Raises IndexError when there is none."""
        if not self._queues:
            raise IndexError("the queue is empty")
        owner, queue = self._queues.popitem(last=False)
        item = queue.popleft()
        if queue:
            self._queues[owner] = queue
        return item

    def remove(self, owner: str, item: T) -> bool:
        """Take `item` out of the queue. False when it is not there."""
        queue = self._queues.get(owner)
        if queue is None or item not in queue:
            return False
        queue.remove(item)
        if not queue:
            del self._queues[owner]
        return True

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
