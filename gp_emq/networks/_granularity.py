"""What of a weight shares one scale: all of it, an output channel, or a group of its values."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_GROUP = 2
_GROUP = re.compile(r"group([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Granularity:
    """What of a weight (out, ...) shares one scale.

    A group runs along the values of one output channel, in the order in which they lie: along the
    inputs of a linear layer, along inputs and kernel of a convolution. The last group of a channel
    is shorter where its length is no multiple of a group's.

    Attributes:
        per_channel: Each output channel (first axis) has scales of its own.
        group: Values of a channel that share one; None for all of them.

    Raises:
        ValueError: A group is shorter than 2, or lies within no channel.
    """

    per_channel: bool = False
    group: int | None = None

    def __post_init__(self) -> None:
        if self.group is None:
            return
        if type(self.group) is not int or self.group < LEAST_GROUP:
            raise ValueError(
                f"a group must be a whole number of {LEAST_GROUP} or more values, not "
                f"{self.group!r}"
            )
        if not self.per_channel:
            raise ValueError(
                f"groups lie within output channels: give per_channel=True with group={self.group}"
            )

    @classmethod
    def parse(cls, text: str) -> "Granularity":
        """Read `tensor`, `channel`, or a group with its length, as in `group64`.

        Raises:
            ValueError: It is none of these.
        """
        if text in ("tensor", "channel"):
            return cls(per_channel=text == "channel")
        found = _GROUP.fullmatch(text)
        if found is None or int(found[1]) < LEAST_GROUP:
            raise ValueError(f"must be tensor, channel, or a group such as group64, not {text!r}")
        return cls(per_channel=True, group=int(found[1]))

    def __str__(self) -> str:
        if self.group is not None:
            return f"group{self.group}"
        return "channel" if self.per_channel else "tensor"

    def scales(self, shape: Sequence[int]) -> int:
        """Return how many scales a weight has.

        Args:
            shape: Of the weight.
        """
        return shape[0] * self.groups(math.prod(shape[1:])) if self.per_channel else 1

    def groups(self, length: int) -> int:
        """Return how many groups a channel has.

        Args:
            length: Values of the channel.
        """
        return 1 if self.group is None else max(1, -(-length // self.group))


PER_TENSOR = Granularity()
"""One scale for a whole weight."""

PER_CHANNEL = Granularity(per_channel=True)
"""One scale for each output channel."""
