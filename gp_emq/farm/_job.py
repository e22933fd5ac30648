"""What the farm asks of a kind of work."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeVar

Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Job(Protocol[Item_contra, Result_co]):
    """A kind of work that processes can do: small to send, set up once per process."""

    @property
    def key(self) -> Hashable:
        """What tells this job's set-up from any other's."""

    def set_up(self) -> Any:
        """Load what the work needs, such as memory-mapped statistics."""

    def work(self, state: Any, items: Sequence[Item_contra]) -> Sequence[Result_co]:
        """Do some items; what each comes to depends on nothing but the item."""

    def failed(self, item: Item_contra, reason: str) -> Result_co:
        """Say what an item comes to whose work was lost again and again.

        Args:
            item: It alone was being worked on each of the last times.
            reason: ``worker died``, ``timed out`` or ``out of memory``.

        Raises:
            GpEmqError: The job cannot do without the item.
        """
