"""Elementwise subtrees that end in a reduction, computed block by block in reused scratch.

A block is small enough to stay in a core's cache, so a tree costs little more than reading its
inputs once, and a population reads them once for all its trees.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gp_emq.proxies._graph import Vertex
from gp_emq.proxies._kernels import kernel_of
from gp_emq.statistics import Layout
from primitives import NUMBER_TYPES, PER_BIT_TYPES, Kernel
from primitives._accumulators import Accumulator
from primitives._affine import AffineKernel

BLOCK = 131072
"""Elements of a block on a CPU, the bit axis included (rounded down)."""

LeafBlock = Callable[[Vertex, int, int], Tensor]
"""Gives a leaf's elements from a start to a stop: (elements,) or (bits, elements)."""


@dataclass(frozen=True)
class Segments:
    """The neighbouring entries, or layers, that a block holds pieces of.

    Attributes:
        first: The first of them.
        starts: Where each one's piece starts in the block.
    """

    first: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, bounds: Sequence[int], start: int, stop: int) -> "Segments":
        """Find those of a block.

        Args:
            bounds: Where each of all begins in the flat buffer, and at the end its length.
            start: Where the block begins.
            stop: Where it ends.
        """
        first = bisect_right(bounds, start) - 1
        after = bisect_left(bounds, stop)
        return cls(first, tuple(max(bound, start) - start for bound in bounds[first:after]))


@dataclass(frozen=True)
class Block:
    """A range of a flat buffer, and what lies in it."""

    start: int
    stop: int
    entries: Segments
    layers: Segments


class Sink(ABC):
    """What takes the arguments of a vertex, block by block.

    Args:
        vertex: The vertex.
    """

    def __init__(self, vertex: Vertex) -> None:
        self.vertex = vertex

    @abstractmethod
    def take(self, block: Block, values: Sequence[Tensor]) -> None:
        """Take the values of one block: (elements,) or (bits, elements) each."""


class ReductionSink(Sink):
    """A reduction at the end of a stream.

    Args:
        vertex: The reduction, or what needs to know the reductions of its argument.
        accumulator: What combines the blocks.
        by_layer: Whether it reduces layers rather than entries.
    """

    def __init__(self, vertex: Vertex, accumulator: Accumulator, *, by_layer: bool = False) -> None:
        super().__init__(vertex)
        self.accumulator = accumulator
        self._by_layer = by_layer

    def take(self, block: Block, values: Sequence[Tensor]) -> None:
        """Hand the pieces of each entry or layer on."""
        segments = block.layers if self._by_layer else block.entries
        self.accumulator.take_block(segments.first, segments.starts, values)


class StoreSink(Sink):
    """Keeps the argument of a vertex.

    Args:
        vertex: The vertex.
        out: (elements,) or (bits, elements) of a range of the layout.
        start: Where the range starts; what of a block is not in it is dropped.
    """

    def __init__(self, vertex: Vertex, out: Tensor, start: int = 0) -> None:
        super().__init__(vertex)
        self._out, self._start = out, start

    def take(self, block: Block, values: Sequence[Tensor]) -> None:
        """Copy a block to its place."""
        start = max(block.start, self._start)
        stop = min(block.stop, self._start + self._out.shape[-1])
        place = self._out[..., start - self._start : stop - self._start]
        place.copy_(values[0][..., start - block.start : stop - block.start])


@dataclass(frozen=True)
class _Instruction:
    """One step of a block: compute a vertex into a register, feed the sinks, free registers."""

    vertex: Vertex
    kernel: Kernel | None
    affine: AffineKernel | None
    register: int | None
    sinks: tuple[Sink, ...]


class Stream:
    """A straight-line program over registers, run once per block.

    Args:
        vertices: All vertices that the sinks need, arguments first, sinks left out.
        sinks: The reductions.
        leaf_block: Where leaves come from.
        affine: Gives the kernel of an affine normaliser.
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
        affine: Callable[[Vertex], AffineKernel],
        bits: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._leaf_block, self._affine = leaf_block, affine
        self._bits, self._dtype, self._device = bits, dtype, device
        self._per_bit = any(vertex.per_bit for vertex in vertices)
        self._shapes: list[bool] = []
        self._instructions = self._compile(vertices, sinks)

    def run(self, layout: Layout, start: int = 0, stop: int | None = None) -> None:
        """Feed every sink with all elements of a layout, in order.

        Args:
            layout: Where entries begin and end in the flat buffers.
            start: First element that is wanted, and with it the rest of its block: blocks lie
                where they always do, since last digits may depend on where one ends.
            stop: End of what is wanted; None for that of the layout.
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
        entries, layers = layout.entry_bounds, layout.offsets
        for first in range(start - start % length, stop or layout.size, length):
            after = min(first + length, layout.size)
            block = Block(
                first,
                after,
                Segments.of(entries, first, after),
                Segments.of(layers, first, after),
            )
            self._run_block(block, scratch)

    def _run_block(self, block: Block, scratch: Sequence[Tensor]) -> None:
        values: dict[int, Tensor | float] = {}
        for step in self._instructions:
            vertex = step.vertex
            if step.register is not None:
                out = scratch[step.register][..., : block.stop - block.start]
                arguments = [values[argument] for argument in vertex.arguments]
                if step.kernel is not None:
                    step.kernel(*arguments, out=out)
                elif step.affine is not None:
                    layers = block.layers
                    step.affine(arguments[0], layers.first, layers.starts, out=out)  # type: ignore[arg-type]
                values[vertex.identifier] = out
            elif vertex.node.ret in NUMBER_TYPES:
                values[vertex.identifier] = float(vertex.node.name)
            else:
                values[vertex.identifier] = self._leaf_block(vertex, block.start, block.stop)
            for sink in step.sinks:
                sink.take(block, [values[argument] for argument in sink.vertex.arguments])  # type: ignore[misc]

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
            kernel = affine = register = None
            if vertex.overload is not None:
                if vertex.affine:
                    affine = self._affine(vertex)
                else:
                    kernel = kernel_of(vertex.overload.operator)
                per_bit = vertex.node.ret in PER_BIT_TYPES
                # Taken before the arguments' registers are freed: kernels are not all in place.
                if free[per_bit]:
                    register = free[per_bit].pop()
                else:
                    register = len(self._shapes)
                    self._shapes.append(per_bit)
                registers[vertex.identifier] = register
            instructions.append(
                _Instruction(vertex, kernel, affine, register, tuple(sinks_at.get(index, ())))
            )
            for number in {*vertex.arguments, vertex.identifier, *_taken(sinks_at.get(index, ()))}:
                if last_use[number] <= index and number in registers:
                    freed = registers.pop(number)
                    free[self._shapes[freed]].append(freed)
        return instructions


def _taken(sinks: Sequence[Sink]) -> list[int]:
    return [argument for sink in sinks for argument in sink.vertex.arguments]
