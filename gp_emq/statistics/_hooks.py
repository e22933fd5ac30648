"""Watching what goes into the layers and what comes out of them."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


@dataclass
class Calls:
    """What one layer was called with, call by call, in one forward pass.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs, before anything changed them in place.
    """

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


@contextlib.contextmanager
def watching(modules: Sequence[nn.Module]) -> Iterator[list[Calls]]:
    """Record the calls of modules inside the block.

    What follows a module gets a copy of its output, so that a ReLU that works in place
    changes the copy and the record stays the module's own output.

    Args:
        modules: The layers' modules.

    Yields:
        One record per module.
    """
    records = [Calls() for _ in modules]

    def watch(record: Calls, module: nn.Module) -> RemovableHandle:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            record.inputs.append(inputs[0])
            record.outputs.append(output)
            return output.clone()

        return module.register_forward_hook(hook)

    with contextlib.ExitStack() as stack:
        for record, module in zip(records, modules, strict=True):
            stack.callback(watch(record, module).remove)
        yield records
