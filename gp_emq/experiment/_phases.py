"""The two phases of a run: the search itself, and a random search of equal evaluations.

Both are the same kind of search with a store of their own, so that either is resumed from its
last completed generation.
"""

import time
from collections.abc import Callable
from contextlib import closing

from gp_emq.evolution import Search
from gp_emq.experiment._configuration import Execution
from gp_emq.experiment._interruption import Interruption
from gp_emq.experiment._progress import SearchBar
from gp_emq.store import RunStore

RANDOM_SEARCH = "random_search"
"""Folder of the random search within a run's folder."""

INTERRUPTED = "interrupted by Ctrl-C"


def evolve(
    search: Search,
    store: RunStore,
    execution: Execution,
    interruption: Interruption,
    *,
    validated: bool,
) -> str:
    """Run the search's own phase, and say why it stopped."""
    start, limit = time.monotonic(), execution.time_limit
    most = execution.evaluations

    def over() -> str | None:
        if search.generation < 0:
            return None
        if interruption.requested:
            return INTERRUPTED
        if search.generation >= execution.generations:
            return f"{execution.generations} generations completed"
        if most is not None and (search.evaluations >= most or search.is_exhausted):
            return f"{search.evaluations} evaluations completed"
        if limit is not None and time.monotonic() - start > limit:
            return f"time limit of {limit:g} s reached"
        return None

    last = store.last_generation()
    total, quiet = execution.generations, execution.quiet
    bar = SearchBar("evolving", total, unit="gen", before=last, quiet=quiet, validated=validated)
    return _advance(search, store, over, bar, most)


def search_at_random(
    search: Search,
    store: RunStore,
    most: int,
    interruption: Interruption,
    *,
    quiet: bool,
    validated: bool,
) -> None:
    """Run a random search until it has evaluated exactly so many."""

    def over() -> str | None:
        if interruption.requested:
            return INTERRUPTED
        return "completed" if search.evaluations >= most or search.is_exhausted else None

    title, last = "random search of equal evaluations", store.last_generation()
    bar = SearchBar(title, most, unit="eval", before=last, quiet=quiet, validated=validated)
    _advance(search, store, over, bar, most)


def _advance(
    search: Search,
    store: RunStore,
    over: Callable[[], str | None],
    progress: SearchBar,
    most: int | None = None,
) -> str:
    """Run a search, from where its store stands, until something says why it is over.

    Args:
        search: The search, fresh.
        store: Its store; each completed generation is committed whole.
        over: Asked before each generation.
        progress: Told of each completed generation.
        most: How many individuals may be evaluated.
    """
    with closing(progress):
        if generations := store.generations():
            search.restore(store.individuals(), generations)
        while (reason := over()) is None:
            row = search.step(None if most is None else most - search.evaluations)
            store.commit_generation(search.rows, row)
            progress.show(row)
        return reason
