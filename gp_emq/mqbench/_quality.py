"""How much of a bench's spread is signal, and how well any proxy could rank it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation import tau_b, why_unrankable
from gp_emq.mqbench._bench import Bench
from gp_emq.networks import TOP_1

REPEATS = 20
RIDGE = 3.0
_SAMPLED = ("sampling_error", "reliability", "noise_ceiling")


@dataclass(frozen=True)
class Quality:
    """What a bench can tell; numbers that it cannot are nan, and `undefined` says why.

    Attributes:
        mean: of the accuracies.
        spread: standard deviation of the accuracies.
        sampling_error: standard error of one accuracy, root mean square over the
            configurations; distortions of one base image count as one observation.
        reliability: mean Kendall tau between the accuracies on two halves of the base images.
        noise_ceiling: mean Kendall tau between the accuracies and a noise-free ranking, which
            is what a perfect proxy would reach.
        additive_ceiling: Kendall tau on the test configurations of an additive model fitted
            on the training configurations; a table can reach about this.
        binomial: sampling error and noise ceiling rest on a binomial model, because the bench
            does not say which images were right; there is no reliability then.
        undefined: why a number is none, by its name: there are too few configurations, or all
            have the same accuracy.
    """

    mean: float
    spread: float
    sampling_error: float
    reliability: float | None
    noise_ceiling: float
    additive_ceiling: float
    binomial: bool
    undefined: Mapping[str, str] = field(default_factory=dict)


def bench_quality(bench: Bench, seed: int = 0) -> Quality:
    """Compute what a bench can tell.

    The noise ceiling is simulated. The true accuracies are taken to be the measured ones
    shrunk to their mean, so that their variance is what remains of the measured variance
    without the noise. Noise as large as the measured is added to them again, and the tau
    between truth and sum is averaged. With correctness by image the noise is the
    deviation of a bootstrap over base images, so that images that are hard for all
    configurations move all of them together; else it is binomial and independent, which
    makes the ceiling a little too low.

    Args:
        bench: the bench.
        seed: of halves and simulated noise.
    """
    generator = np.random.default_rng(seed)
    undefined = _undefined(bench)
    by_image = _by_base_image(bench)
    accuracies = bench.accuracies
    if by_image is None and bench.metric != TOP_1.name:
        errors, reliability = np.full_like(accuracies, math.nan), None
        undefined |= dict.fromkeys(_SAMPLED, "the bench has no values of its samples")
    elif by_image is None:
        errors = np.sqrt(accuracies * (1 - accuracies) / bench.images)
        reliability = None
    else:
        errors = by_image.std(axis=1, ddof=1) / np.sqrt(bench.groups)
        known = "reliability" not in undefined
        reliability = _reliability(by_image, generator) if known else math.nan
    noises = [] if "noise_ceiling" in undefined else _noises(by_image, errors, generator)
    return Quality(
        mean=float(accuracies.mean()),
        spread=math.nan if "spread" in undefined else float(accuracies.std(ddof=1)),
        sampling_error=float(np.sqrt((errors**2).mean())),
        reliability=reliability,
        noise_ceiling=(
            math.nan if "noise_ceiling" in undefined else _noise_ceiling(accuracies, noises)
        ),
        additive_ceiling=math.nan if "additive_ceiling" in undefined else _additive_ceiling(bench),
        binomial=by_image is None and bench.metric == TOP_1.name,
        undefined=undefined,
    )


def _undefined(bench: Bench) -> dict[str, str]:
    """Say which numbers a bench does not have, and why."""
    undefined = {}
    reason = why_unrankable(bench.oriented, "configurations")
    if reason:
        undefined = {"reliability": reason, "noise_ceiling": reason}
        if len(bench.accuracies) < 2:
            undefined["spread"] = reason
    for name, part in (("training", bench.training), ("test", bench.test)):
        reason = why_unrankable(bench.accuracies[part], f"{name} configurations")
        if reason:
            undefined.setdefault("additive_ceiling", reason)
    return undefined


def _by_base_image(bench: Bench) -> NDArray[np.float32] | None:
    """Return the share of right labels by base image, float32 (n, groups)."""
    right = bench.by_sample()
    if right is None or bench.groups < 2:
        return None
    draws = right.reshape(len(right), -1, bench.groups)
    shares: NDArray[np.float32] = draws.mean(axis=1, dtype=np.float32)
    return shares


def _reliability(by_image: NDArray[np.float32], generator: np.random.Generator) -> float:
    half = by_image.shape[1] // 2
    taus = []
    for _ in range(REPEATS):
        order = generator.permutation(by_image.shape[1])
        first, second = order[:half], order[half : 2 * half]
        taus.append(tau_b(by_image[:, first].sum(1), by_image[:, second].sum(1)))
    return float(np.mean(taus))


def _noises(
    by_image: NDArray[np.float32] | None,
    errors: NDArray[np.float64],
    generator: np.random.Generator,
) -> list[NDArray[np.float64]]:
    if by_image is None:
        return [generator.normal(0, errors) for _ in range(REPEATS)]
    groups = by_image.shape[1]
    means = by_image.mean(axis=1, dtype=np.float64)
    noises = []
    for _ in range(REPEATS):
        counts = generator.multinomial(groups, np.full(groups, 1 / groups))
        noises.append(by_image.astype(np.float64) @ counts / groups - means)
    return noises


def _noise_ceiling(accuracies: NDArray[np.float64], noises: list[NDArray[np.float64]]) -> float:
    variance = accuracies.var()
    # A shift common to all configurations changes no ranking and is no noise here.
    noise = float(np.mean([deviation.var() for deviation in noises]))
    shrink = np.sqrt(max(variance - noise, 0) / variance) if variance > 0 else 0.0
    truth = accuracies.mean() + shrink * (accuracies - accuracies.mean())
    return float(np.mean([tau_b(truth, truth + deviation) for deviation in noises]))


def _additive_ceiling(bench: Bench) -> float:
    widths = bench.configurations[:, :, None] == np.asarray(bench.bits)
    features = widths.reshape(len(widths), -1).astype(np.float64)
    fit, test = bench.training, bench.test
    centre = features[fit].mean(axis=0)
    x = features[fit] - centre
    y = bench.accuracies[fit] - bench.accuracies[fit].mean()
    coefficients = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    return tau_b((features[test] - centre) @ coefficients, bench.accuracies[test])
