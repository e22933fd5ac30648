"""Rounding to nearest, and batch-norm statistics moved by what rounding changes."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gp_emq.networks import input_of, undisturbed
from gp_emq.quantization._batch_norm import batch_norms, check_enough_images
from gp_emq.quantization._moments import channel_moments
from gp_emq.quantization.recipes._recipe import Recipe, RoundedNetwork
from gp_emq.quantization.recipes._task import Task
from gp_emq.quantization.recipes.rtn import round_to_nearest

Statistics = tuple[Tensor, Tensor]
"""Mean and variance, each (channels,)."""


def correct_batch_norm(task: Task) -> Callable[[RoundedNetwork], None]:
    """Move batch-norm statistics by the difference between rounded and float network.

    Every batch norm gets the mean m + (m_q - m_f) and the variance v · v_q / v_f, where m and v
    are what it was trained with, and the others are those of what it is fed on the calibration
    images, in the rounded network (q), all before it corrected already, and in the float one (f).
    So good statistics of many images stay, even if these are few, or of another kind. A channel
    that is constant in either network keeps its variance. A norm that a pass calls several times
    is corrected for each call, and gets the mean of all in the end; one that the rounded network
    calls more often than the float one is left alone in the calls beyond. Instance norms keep the
    statistics that they have.
    """
    check_enough_images(task.network.model, task.images)
    norms = _batch_norms_of(batch_norms(task.network.model))
    with undisturbed(), torch.no_grad(), _deciding(norms, _keep) as calls:
        task.network.run(task.images)
    floating = {norm: [fed for _, fed in of] for norm, of in calls.items()}

    def move(norm: int, call: int, trained: Statistics, fed: Statistics) -> Statistics:
        if call >= len(floating.get(norm, [])):
            return trained
        mean, variance = (of.to(fed[0]) for of in floating[norm][call])
        ratio = fed[1] / variance
        ratio = torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0)
        return trained[0] + (fed[0] - mean), trained[1] * ratio

    def correct(rounded: RoundedNetwork) -> None:
        norms = _batch_norms_of(rounded.norms)
        with _deciding(norms, move) as calls:
            rounded.run(task.images)
        for number, of in calls.items():
            norm = norms[number]
            means, variances = zip(*(decided for decided, _ in of), strict=True)
            mean, variance = torch.stack(means).mean(0), torch.stack(variances).mean(0)
            assert norm.running_mean is not None  # noqa: S101 - batch_norms asks for them
            norm.running_mean, norm.running_var = (
                mean.to(norm.running_mean), variance.to(norm.running_mean),
            )  # fmt: skip

    return correct


def _batch_norms_of(norms: Sequence[nn.Module]) -> list[_BatchNorm]:
    """Leave out instance norms, which see one image at a time."""
    return [norm for norm in norms if isinstance(norm, _BatchNorm)]


def _keep(_norm: int, _call: int, trained: Statistics, _fed: Statistics) -> Statistics:
    return trained


_Decide = Callable[[int, int, Statistics, Statistics], Statistics]
"""From number of the norm, number of its call, trained statistics and those of its input."""


@contextlib.contextmanager
def _deciding(
    norms: Sequence[_BatchNorm], decide: _Decide
) -> Iterator[dict[int, list[tuple[Statistics, Statistics]]]]:
    """Inside the block, every call of a batch norm normalizes by what is decided from its input.

    Gives the calls by the number of the norm: what was decided, and what its input had. The norms
    are in the mode for training, in which networks that absorb them call them, with a momentum of
    0, which keeps their statistics; they come back as they were.
    """
    calls: dict[int, list[tuple[Statistics, Statistics]]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        for number, norm in enumerate(norms):

            def normalize(
                *arguments: Any, number: int = number, norm: _BatchNorm = norm, **named: Any
            ) -> Tensor:
                assert norm.running_mean is not None  # noqa: S101 - batch_norms asks for them
                assert norm.running_var is not None  # noqa: S101
                fed = input_of(arguments, named)
                seen = channel_moments(fed, 1)
                trained = norm.running_mean.double(), norm.running_var.double()
                decided = decide(number, len(calls[number]), trained, seen)
                calls[number].append((decided, seen))
                # Inputs may be in half precision, as within autocast, where these are not.
                mean, variance = (of.to(norm.running_mean) for of in decided)
                return nn.functional.batch_norm(
                    fed, mean, variance, norm.weight, norm.bias, eps=norm.eps
                )

            counter = norm.num_batches_tracked
            stack.callback(_restore, norm, norm.training, norm.momentum, counter)
            stack.enter_context(_answered_by(norm, normalize))
            norm.train()
            norm.momentum = 0.0
            norm.num_batches_tracked = None if counter is None else counter.clone()
        yield calls


@contextlib.contextmanager
def _answered_by(norm: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Inside the block, a module computes something else, and its own forward is not run."""
    own = vars(norm).get("forward")
    vars(norm)["forward"] = forward
    try:
        yield
    finally:
        if own is None:
            del vars(norm)["forward"]
        else:
            vars(norm)["forward"] = own


def _restore(
    norm: _BatchNorm, training: bool, momentum: float | None, counter: Tensor | None
) -> None:
    norm.train(training)
    norm.momentum = momentum
    norm.num_batches_tracked = counter


RECIPE = Recipe(
    "rtn+bn-correction",
    "rounding to nearest, batch-norm statistics moved by what rounding changes on the images",
    round_to_nearest,
    correct=correct_batch_norm,
)
