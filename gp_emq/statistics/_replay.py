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
    A layer that calls others is computed again where one of these changed.

    Args:
        modules: The layers; each call of one counts.
        most_bytes: Outputs that are kept at most.
    """

    def __init__(self, modules: Sequence[nn.Module], most_bytes: int = MOST_BYTES) -> None:
        self._modules = list(dict.fromkeys(modules))
        self._most_bytes = self._room = most_bytes
        self._called: list[nn.Module] = []
        self._ends: list[int] = []
        self._outputs: list[Tensor | None] = []
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
        self._called, self._ends, self._outputs = [], [], []
        self._room = self._most_bytes
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
        unknown = [
            place
            for place, (module, output) in enumerate(zip(self._called, self._outputs, strict=True))
            if module in modules or output is None
        ]
        # A layer that no call was seen of may be used anywhere.
        seen = {*modules} <= {*self._called}
        self._place, self._known = 0, min([*unknown, len(self._called)]) if seen else 0
        try:
            yield
        finally:
            self._known = 0

    def _seen(self, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if self._place < self._known:
                return self._again(forward, given, named)
            if not self._records:
                return forward(*given, **named)
            place = len(self._called)
            self._called.append(module)
            self._ends.append(place)
            self._outputs.append(None)
            output = forward(*given, **named)
            self._ends[place] = len(self._called)
            self._keep(place, output)
            return output

        return call

    def _again(
        self, forward: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        """Give what a call gave before, unless a layer that it calls is another."""
        output, end = self._outputs[self._place], self._ends[self._place]
        if output is None or end > self._known:
            self._place += 1
            return forward(*given, **named)
        self._place = end
        return output.clone()  # what follows may write into it

    def _keep(self, place: int, output: Any) -> None:
        """Keep an output, if there is room for it."""
        if isinstance(output, Tensor):
            self._room -= output.numel() * output.element_size()
            if self._room >= 0:
                self._outputs[place] = output.clone()
