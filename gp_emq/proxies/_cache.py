"""A cache of tensors bounded by bytes."""

from collections import OrderedDict

from torch import Tensor


class ByteCache:
    """Keeps tensors by name; the least recently used leave first.

    Args:
        capacity: Upper bound of bytes, names included; 0 keeps nothing.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held = 0
        self._tensors: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, name: str) -> Tensor | None:
        """Give the tensor of a name, if it is still there."""
        tensor = self._tensors.get(name)
        if tensor is not None:
            self._tensors.move_to_end(name)
        return tensor

    def put(self, name: str, tensor: Tensor) -> None:
        """Keep a tensor, if it fits at all."""
        size = _size(name, tensor)
        if name in self._tensors or size > self._capacity:
            return
        self.make_room(size)
        self._tensors[name] = tensor
        self._held += size

    def make_room(self, size: int) -> list[Tensor]:
        """Let tensors leave until some bytes are free, or nothing is left.

        Args:
            size: The bytes.

        Returns:
            Those that left.
        """
        leaving = []
        while self._tensors and self._held + size > self._capacity:
            name, tensor = self._tensors.popitem(last=False)
            self._held -= _size(name, tensor)
            leaving.append(tensor)
        return leaving


def _size(name: str, tensor: Tensor) -> int:
    return len(name) + tensor.numel() * tensor.element_size()
