"""Running a network again of which one layer changed: what comes before it is known."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

MOST_BYTES = 256 * 2**20
"""Outputs that are kept; those of later calls are computed again."""


class Replay:
    """Keeps what a network's layers gave in one run, and gives it again in runs like it.

    Up to the first call of a layer that changed, a run on the same samples is the same run: what
    its layers would compute is what they gave before, bit by bit. That saves half of the work on
    average, whatever the network does between its layers, as long as it does the same each time.

    Args:
        modules: The layers; each call of one counts.
        most_bytes: Outputs that are kept at most.
    """

    def __init__(self, modules: Sequence[nn.Module], most_bytes: int = MOST_BYTES) -> None:
        self._modules = list(dict.fromkeys(modules))
        self._most_bytes = self._room = most_bytes
        self._called: list[nn.Module] = []
        self._outputs: list[Tensor] = []
        self._known = 0
        self._place = 0
        self._records = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside the block, calls of the layers are seen."""
        before = [vars(module).get("forward") for module in self._modules]
        try:
            for module in self._modules:
                module.forward = self._seen(module, module.forward)
            yield
        finally:
            for module, forward in zip(self._modules, before, strict=True):
                if forward is None:
                    del module.forward
                else:
                    module.forward = forward

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Inside the block, which has one run, outputs are kept; what was kept before is lost."""
        self._called, self._outputs, self._room = [], [], self._most_bytes
        self._records = True
        try:
            yield
        finally:
            self._records = False

    @contextmanager
    def changed(self, modules: Collection[nn.Module]) -> Iterator[None]:
        """Inside the block, which has one run on the same samples, some layers are others.

        Args:
            modules: Those.
        """
        places = [place for place, module in enumerate(self._called) if module in modules]
        # A layer that no call was seen of may be used anywhere.
        seen = {*modules} <= {*self._called}
        self._place, self._known = 0, min([*places, len(self._outputs)]) if seen else 0
        try:
            yield
        finally:
            self._known = 0

    def _seen(self, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if self._place < self._known:
                self._place += 1
                # What follows may write into it.
                return self._outputs[self._place - 1].clone()
            output = forward(*given, **named)
            if self._records:
                self._keep(module, output)
            return output

        return call

    def _keep(self, module: nn.Module, output: Any) -> None:
        """Keep an output, if all before it were kept."""
        if len(self._outputs) == len(self._called) and isinstance(output, Tensor):
            self._room -= output.numel() * output.element_size()
            if self._room >= 0:
                self._outputs.append(output.clone())
        self._called.append(module)
