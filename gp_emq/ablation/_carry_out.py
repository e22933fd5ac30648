"""Carrying out a study: every search a run in a folder of its own, then what is held out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gp_emq.ablation._study import Study, Variant
from gp_emq.correlation import KendallRanker
from gp_emq.errors import RunError
from gp_emq.evolution import make_selection
from gp_emq.experiment import Execution, Formula, load_setting, run
from gp_emq.farm import FarmSettings
from gp_emq.objectives import PlanRanker
from gp_emq.proxies import Proxy
from gp_emq.ranking import RankedBench, score
from gp_emq.statistics import default_cache

MOST_GENERATIONS = 10**6
"""A search ends by its evaluations, long before."""


@dataclass(frozen=True)
class Outcome:
    """What one search found, and how that ranks what was held out.

    Args:
        variant: Name of the variant.
        seed: Of the search.
        formula: The one that it recommends.
        evaluations: Of the search.
        equal_cost: Kendall tau on each held-out bench over the pairs of configurations of about
            equal size, all of them; 0 where the formula has no table.
        all_pairs: The same over all pairs.
        picks: What the configurations are worth that it picks at each size, see `PlanRanker`.
        without: Held-out benches where the formula has no table, with the reason.
    """

    variant: str
    seed: int
    formula: Formula
    evaluations: int
    equal_cost: Mapping[str, float]
    all_pairs: Mapping[str, float]
    picks: Mapping[str, float]
    without: Mapping[str, str] = field(default_factory=dict)


def carry_out_study(
    study: Study,
    folder: Path,
    *,
    farm: FarmSettings,
    progress: Callable[[str], None] = lambda _text: None,
) -> list[Outcome] | None:
    """Search with every variant and seed, then rank all that was found on what is held out.

    Searches that are complete in the folder are not made again, and one that was stopped goes on.
    The held-out benches are not looked at before the last search is complete.

    Args:
        study: What to compare.
        folder: Of the runs, `VARIANT/seed-N` each.
        farm: Workers and devices; they change no result.
        progress: Told what is done next.

    Returns:
        An outcome for each variant and seed, in the order of the study; None if it was
        interrupted.

    Raises:
        GpEmqError: A bench, primitive set or selection does not exist or does not fit, or a folder
            holds another search.
    """
    for variant in study.variants:
        make_selection(load_setting(variant.configuration(study.seeds[0])).configuration.selection)
    found: list[tuple[Variant, int, Formula, int]] = []
    searches = [(variant, seed) for seed in study.seeds for variant in study.variants]
    for number, (variant, seed) in enumerate(searches, start=1):
        progress(f"search {number} of {len(searches)}: {variant.name}, seed {seed}")
        result = run(
            variant.configuration(seed),
            Execution(
                folder=folder / variant.name / f"seed-{seed}",
                generations=MOST_GENERATIONS,
                evaluations=study.evaluations,
                farm=farm,
                random_search=False,
                figures=False,
                quiet=True,
            ),
        )
        if not result.completed:
            return None
        if result.summary is None:
            raise RunError(f"the run {result.folder} has no summary")
        found.append((variant, seed, result.best, int(result.summary["evaluations"])))
    ranked = _Ranked({}, {})
    for place, name in enumerate(study.held_out, start=1):
        progress(f"held-out bench {place} of {len(study.held_out)}: {name}")
        ranked.add(name, [formula.proxy for _, _, formula, _ in found])
    order = {variant.name: place for place, variant in enumerate(study.variants)}
    outcomes = [
        Outcome(
            variant.name,
            seed,
            formula,
            evaluations,
            equal_cost={name: values[place][0] for name, values in ranked.found.items()},
            all_pairs={name: values[place][1] for name, values in ranked.found.items()},
            picks={name: values[place][2] for name, values in ranked.found.items()},
            without={name: why[place] for name, why in ranked.without.items() if why[place]},
        )
        for place, (variant, seed, formula, evaluations) in enumerate(found)
    ]
    return sorted(outcomes, key=lambda one: (order[one.variant], one.seed))


@dataclass(frozen=True)
class _Ranked:
    """What formulas come to on benches: tau at equal cost and over all pairs, and picks.

    Where one has no table, it ranks nothing, and the reason stands beside.
    """

    found: dict[str, list[tuple[float, float, float]]]
    without: dict[str, list[str]]

    def add(self, name: str, proxies: list[Proxy]) -> None:
        target = RankedBench.load(name, weights=None, data=(), cache=default_cache())
        everything = np.arange(len(target.bench.configurations))
        pairs = target.pairs_at_equal_size(everything)
        rankers = (
            KendallRanker(target.bench.oriented, pairs),
            KendallRanker(target.bench.oriented),
            PlanRanker(target.bench.oriented, pairs, share=1),
        )
        inputs = target.proxy_inputs()
        scored = [score(proxy, inputs, target.bench) for proxy in proxies]
        self.without[name] = [one.note for one in scored]
        self.found[name] = []
        for one in scored:
            equal_cost, all_pairs, picks = (
                (0.0,) * 3
                if one.scores is None
                else (float(ranker.taus(one.scores[None])[0]) for ranker in rankers)
            )
            self.found[name].append((equal_cost, all_pairs, picks))
