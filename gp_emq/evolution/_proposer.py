"""What proposes: individuals for the places of a generation, screened at no cost."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from deap import base

from gp_emq.evolution import _reasons as reasons
from gp_emq.evolution._archive import Archive
from gp_emq.evolution._individual import Individual
from gp_emq.evolution._islands import Islands
from gp_emq.evolution._proposal import Proposal, offspring
from gp_emq.evolution._randomness import stream
from gp_emq.evolution._screening import StructureScreen, depth_of
from gp_emq.evolution._settings import SearchSettings
from gp_emq.proxies import Node, simplified, to_expression
from gp_emq.store import IndividualRow
from primitives import PrimitiveSet

_NO_NUMBER = -1
"""Proposals are numbered in the order in which they are judged."""


@dataclass(frozen=True)
class Screened:
    """What the screens that cost nothing say of a proposal.

    Args:
        proposal: The proposal.
        reason: Why they reject it; None if they do not.
        repeats: The accepted individual of the same canonical form, if any.
    """

    proposal: Proposal
    reason: str | None
    repeats: int | None


class Proposer:
    """Makes an individual for a place, every choice drawn from a stream of that place's own.

    Args:
        primitive_set: The operators and terminals.
        settings: Of the search.
        toolbox: Makes trees.
        islands: Which island a place belongs to.
        archive: What the search has seen.
        seeds: Trees that enter the first generation, exempt from the structural screen.
    """

    def __init__(
        self,
        primitive_set: PrimitiveSet,
        *,
        settings: SearchSettings,
        toolbox: base.Toolbox,
        islands: Islands,
        archive: Archive,
        seeds: Sequence[list[Node]],
    ) -> None:
        self._set = primitive_set
        self._settings = settings
        self._toolbox = toolbox
        self._islands = islands
        self._archive = archive
        self._seeds = seeds
        self._structure = StructureScreen(primitive_set, settings.max_size, settings.max_depth)
        self._generation = -1
        self._parents: list[Sequence[Individual]] = []
        self._weights: Mapping[str, float] = {}

    def begin(
        self,
        generation: int,
        population: Sequence[Individual],
        breeding: Sequence[Sequence[Individual]],
        weights: Mapping[str, float],
    ) -> None:
        """Take up a generation.

        Args:
            generation: Its number.
            population: All that may be parents, best first.
            breeding: Those of each island; where nobody was born, parents come from everywhere.
            weights: Relative frequency of operators, by name.
        """
        self._generation = generation
        self._parents = [members or population for members in breeding]
        self._weights = weights

    def propose(self, place: int, attempt: int, pending: Collection[str]) -> Screened:
        """Make a proposal, and put it through the screens that cost nothing.

        Args:
            place: Of the generation.
            attempt: How often this place was proposed for before.
            pending: Canonical forms of proposals that wait for being evaluated.
        """
        start = time.perf_counter()
        tree, operator, parents = self._tree(place, attempt)
        is_seed = operator == "seed"
        nodes, canonical = simplified(tree, self._set)
        if not self._settings.screening or is_seed:
            nodes = tree
        expression = to_expression(nodes, self._set)
        reason = None if is_seed else self._structure.reason(nodes)
        repeats = None
        if reason is None and self._settings.screening:
            repeats = self._archive.seen(canonical)
            rejected = canonical in pending or self._archive.is_rejected(expression)
            reason = reasons.EQUIVALENT if repeats is not None or rejected else None
        row = IndividualRow(
            id=_NO_NUMBER,
            generation=self._generation,
            place=place,
            attempt=attempt,
            operator=operator,
            parents=parents,
            expression=expression,
            canonical=canonical,
            size=len(nodes),
            depth=depth_of(nodes),
            seconds=time.perf_counter() - start,
        )
        return Screened(Proposal(nodes, row), reason, repeats)

    def _tree(self, place: int, attempt: int) -> tuple[list[Node], str, tuple[int, ...]]:
        """Make a tree; return its nodes, what made it, and the identifiers of its parents."""
        if self._generation == 0 and attempt == 0 and place < len(self._seeds):
            return self._seeds[place], "seed", ()
        rng = stream(self._settings.seed, self._generation, place, attempt)
        if self._generation > 0 and place < self._islands.offspring:
            parents = self._parents[self._islands.island_at(self._generation, place)]
            return offspring(self._toolbox, parents, self._settings.crossover, rng, self._weights)
        return self._toolbox.generate(rng=rng, weights=self._weights), "fresh", ()
