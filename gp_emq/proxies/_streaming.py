"""Elementwise subtrees that end in a reduction, computed block by block in reused scratch.

A block is small enough to stay in a core's cache, so a tree costs little more than reading its
inputs once, and a population reads them once for all its trees.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from gp_emq.proxies._accumulators import Accumulator
from gp_emq.proxies._graph import Vertex
from gp_emq.proxies._kernels import Kernel, kernel_of
from gp_emq.statistics import Layout
from primitives import Exponent, WeightsPerBit

BLOCK = 32768
"""Elements of a block on a CPU, the bit axis included (rounded down)."""

LeafBlock = Callable[[Vertex, int, int], Tensor]
"""Gives a leaf's elements from a start to a stop: (elements,) or (bits, elements)."""


@dataclass(frozen=True)
class Sink:
    """A reduction at the end of a stream: its arguments, and what combines their blocks."""

    vertex: Vertex
    accumulator: Accumulator


@dataclass(frozen=True)
class _Instruction:
    """One step of a block: compute a vertex into a register, feed the sinks, free registers."""

    vertex: Vertex
    kernel: Kernel | None
    register: int | None
    sinks: tuple[Sink, ...]


class Stream:
    """A straight-line program over registers, run once per block.

    Args:
        vertices: All vertices that the sinks need, arguments first, sinks left out.
        sinks: The reductions.
        leaf_block: Where leaves come from.
        bits: Length of the bit axis.
        dtype: Type of the elements.
        device: Where they lie.
    """

    def __init__(
        self,
        vertices: Sequence[Vertex],
        sinks: Sequence[Sink],
        *,
        leaf_block: LeafBlock,
        bits: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._leaf_block = leaf_block
        self._bits, self._dtype, self._device = bits, dtype, device
        self._per_bit = any(vertex.per_bit for vertex in vertices)
        self._shapes: list[bool] = []
        self._instructions = self._compile(vertices, sinks)

    def run(self, layout: Layout) -> None:
        """Feed every sink with all elements of a layout, in order.

        Args:
            layout: Where entries begin and end in the flat buffers.
        """
        length = layout.size if self._device.type != "cpu" else BLOCK
        if self._device.type == "cpu" and self._per_bit:
            length //= self._bits
        length = min(length, layout.size)
        scratch = [
            torch.empty(
                (self._bits, length) if per_bit else (length,),
                dtype=self._dtype,
                device=self._device,
            )
            for per_bit in self._shapes
        ]
        bounds = layout.entry_bounds
        for start in range(0, layout.size, length):
            stop = min(start + length, layout.size)
            entries = [
                entry
                for entry, (begin, end) in enumerate(pairwise(bounds))
                if begin < stop and end > start
            ]
            starts = [max(bounds[entry], start) - start for entry in entries]
            self._run_block(start, stop, scratch, entries[0], starts)

    def _run_block(
        self,
        start: int,
        stop: int,
        scratch: Sequence[Tensor],
        first: int,
        starts: Sequence[int],
    ) -> None:
        values: dict[int, Tensor | float] = {}
        for step in self._instructions:
            vertex = step.vertex
            if step.kernel is not None and step.register is not None:
                out = scratch[step.register][..., : stop - start]
                arguments = [values[argument] for argument in vertex.arguments]
                values[vertex.identifier] = step.kernel(*arguments, out=out)
            elif vertex.node.ret is Exponent:
                values[vertex.identifier] = float(vertex.node.name)
            else:
                values[vertex.identifier] = self._leaf_block(vertex, start, stop)
            for sink in step.sinks:
                blocks = [values[argument] for argument in sink.vertex.arguments]
                sink.accumulator.take_block(first, starts, blocks)  # type: ignore[arg-type]

    def _compile(self, vertices: Sequence[Vertex], sinks: Sequence[Sink]) -> list[_Instruction]:
        """Order the steps, run each sink as soon as it can, and reuse registers after last use."""
        place = {vertex.identifier: index for index, vertex in enumerate(vertices)}
        sinks_at: dict[int, list[Sink]] = {}
        last_use = dict.fromkeys(place, 0)
        for index, vertex in enumerate(vertices):
            for argument in vertex.arguments:
                last_use[argument] = index
        for sink in sinks:
            ready = max(place[argument] for argument in sink.vertex.arguments)
            sinks_at.setdefault(ready, []).append(sink)
            for argument in sink.vertex.arguments:
                last_use[argument] = max(last_use[argument], ready)
        free: dict[bool, list[int]] = {False: [], True: []}
        registers: dict[int, int] = {}
        instructions: list[_Instruction] = []
        for index, vertex in enumerate(vertices):
            kernel = register = None
            if vertex.overload is not None:
                kernel = kernel_of(vertex.overload.operator)
                per_bit = vertex.node.ret is WeightsPerBit
                # Taken before the arguments' registers are freed: kernels are not all in place.
                if free[per_bit]:
                    register = free[per_bit].pop()
                else:
                    register = len(self._shapes)
                    self._shapes.append(per_bit)
                registers[vertex.identifier] = register
            instructions.append(
                _Instruction(vertex, kernel, register, tuple(sinks_at.get(index, ())))
            )
            for number in {*vertex.arguments, vertex.identifier, *_taken(sinks_at.get(index, ()))}:
                if last_use[number] <= index and number in registers:
                    freed = registers.pop(number)
                    free[self._shapes[freed]].append(freed)
        return instructions


def _taken(sinks: Sequence[Sink]) -> list[int]:
    return [argument for sink in sinks for argument in sink.vertex.arguments]
