"""A line in which everybody's first waits before anybody's second."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items of several owners: each owner's in the order in which they came, the owners in turn. Not thread-safe."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()

    def put(self, owner: str, item: T) -> None:
        self._lines.setdefault(owner, deque()).append(item)

    def take(self) -> T:
        """The next item, whose owner then waits for all others. Raises IndexError when there is none."""
        if not self._lines:
            raise IndexError("the queue is empty")
        owner, line = self._lines.popitem(last=False)
        item = line.popleft()
        if line:
            self._lines[owner] = line
        return item

    def remove(self, owner: str, item: T) -> bool:
        """Take `item` out of the line. False when it is not there."""
        line = self._lines.get(owner)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[owner]
        return True

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())
