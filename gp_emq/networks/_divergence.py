"""How far outputs are from those of the float network, where nobody says what they should be."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gp_emq.errors import StatisticsError
from gp_emq.networks._rows import Rows, check_alike, check_as_many
from gp_emq.networks._trees import leaves_of, names_in

NAME = "divergence"
_LOGITS = "logits"
_USUAL = 1e-3, 1e3
"""The largest output, where its size is nothing to care for."""


def rows_of(outputs: Any, samples: int, flags: Sequence[bool] | None) -> Tensor:
    """Return all floating outputs that have a row for each sample as rows, (n, values).

    Args:
        outputs: what the network gave.
        samples: how many samples it was fed.
        flags: which outputs those are, see `Rows`; None for all that are so long.

    Raises:
        StatisticsError: if there is none with a row for each sample, or there are more outputs, or
            fewer, than flags.
    """
    leaves = leaves_of(outputs)
    squeezed = samples == 1 and flags is not None  # one that has no axis of a single sample
    flags = (True,) * len(leaves) if flags is None else flags
    check_as_many(len(flags), len(leaves))
    rows = [
        in_single(leaf).reshape(samples, -1)
        for leaf, has_rows in zip(leaves, flags, strict=True)
        if has_rows
        and isinstance(leaf, Tensor)
        and leaf.is_floating_point()
        and (squeezed or (leaf.dim() > 0 and len(leaf) == samples))
    ]
    if not rows:
        raise StatisticsError(
            f"the network gives no tensor of floats with a row for each of {samples} samples, it "
            f"gives {described(outputs)}; a forward of Workload can make one of its outputs"
        )
    return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)


def in_single(values: Tensor) -> Tensor:
    """Bring numbers of half precision to float32, in which their differences are told apart."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def described(outputs: Any) -> str:
    """Say what a network gave, for a complaint."""
    if isinstance(outputs, Tensor):
        kind = "" if outputs.is_floating_point() else f" of {outputs.dtype}"
        return f"a tensor{kind} of shape {tuple(outputs.shape)}"
    names = names_in(outputs)
    if names is not None:
        return f"{type(outputs).__name__} of {', '.join(map(str, names)) or 'nothing'}"
    if isinstance(outputs, (list, tuple)) and outputs:
        return f"{type(outputs).__name__} of {len(outputs)}, the first {described(outputs[0])}"
    return type(outputs).__name__


def logits_in(outputs: Any, samples: int, *, of_tokens: bool) -> Tensor | None:
    """Return the logits among outputs, None where they are other numbers.

    Logits are what a mapping or a data class calls so; else one tensor (n, classes), or (n, steps,
    classes) of a network that is fed tokens.

    Args:
        outputs: what the network gave.
        samples: how many samples it was fed.
        of_tokens: whether it was fed whole numbers.
    """
    named = _LOGITS in (names_in(outputs) or ())
    found = _of_name(outputs, _LOGITS) if named else outputs
    if not isinstance(found, Tensor) or not found.is_floating_point() or found.dim() < 2:
        return None
    most = 3 if of_tokens or named else 2
    fits = len(found) == samples and found.shape[-1] > 1 and found.dim() <= most
    return in_single(found) if fits else None


def _of_name(outputs: Any, name: str) -> Any:
    return outputs[name] if isinstance(outputs, Mapping) else getattr(outputs, name)


def reference_of(outputs: Any, samples: int, *, of_tokens: bool, rows: Rows) -> Tensor:
    """Return what other outputs are compared with: logits (n, ..., classes), or rows (n, values).

    Raises:
        StatisticsError: if outputs have no rows.
    """
    logits = logits_in(outputs, samples, of_tokens=of_tokens)
    flags = rows.flags
    return rows_of(outputs, samples, flags) if logits is None else logits


def divergences(outputs: Any, reference: Tensor, *, of_tokens: bool, rows: Rows) -> Tensor:
    """Return how far outputs are from those of the float network, for each sample.

    Args:
        outputs: of another network.
        reference: what `reference_of` gave for the float network.
        of_tokens: whether the networks are fed whole numbers.
        rows: which outputs count where they are no logits.

    Returns:
        (n,): KL(softmax float ‖ softmax other) of logits, the mean over steps; the mean squared
        difference of other outputs.

    Raises:
        StatisticsError: if outputs have no rows, or rows of another shape than the reference.
    """
    samples = len(reference)
    logits = logits_in(outputs, samples, of_tokens=of_tokens)
    found = rows_of(outputs, samples, rows.flags) if logits is None else logits
    check_alike(reference.shape, found.shape)
    if logits is None:
        return (found.double() - reference.double()).square().mean(dim=1)  # of any scale
    return divergences_of_logits(reference, logits).reshape(samples, -1).mean(dim=1)


def divergences_of_logits(before: Tensor, after: Tensor) -> Tensor:
    """Return KL(softmax before ‖ softmax after) of logits (..., classes), (...)."""
    terms = functional.kl_div(
        after.log_softmax(dim=-1), before.log_softmax(dim=-1), reduction="none", log_target=True
    )
    return terms.sum(dim=-1)


def divergences_from_mean(reference: Tensor, *, are_logits: bool) -> Tensor:
    """Return how far the float network's outputs are from their mean, which knows no input.

    Args:
        reference: what `reference_of` gave for all samples.
        are_logits: whether they are logits.

    Returns:
        (n,): of logits the KL from the mean of their softmax over all samples and steps, the mean
        over steps; of other outputs the mean squared difference from their mean over samples.
    """
    if not are_logits:
        return (reference - reference.mean(dim=0)).square().mean(dim=1)
    one = reference.log_softmax(dim=-1)
    mean = one.exp().flatten(0, -2).mean(dim=0).log()
    terms = functional.kl_div(mean.expand_as(one), one, reduction="none", log_target=True)
    return terms.sum(dim=-1).reshape(len(reference), -1).mean(dim=1)


def factor_for(reference: Tensor) -> float:
    """Return what to multiply outputs by, so that float32 has room for products of their squares.

    Args:
        reference: what `reference_of` gave for the float network, no logits.

    Returns:
        A power of two, and 1 for outputs of usual size.
    """
    largest = float(reference.abs().max())
    usual = largest == 0 or _USUAL[0] <= largest <= _USUAL[1]
    return 1.0 if usual else 2.0 ** -round(math.log2(largest))


def stand_ins(reference: Tensor, *, are_logits: bool, seed: int = 0) -> Tensor:
    """Return targets that have a gradient at the float network, as its own outputs have not.

    Args:
        reference: what `reference_of` gave for the float network.
        are_logits: whether they are logits.
        seed: of the noise.

    Returns:
        The likeliest classes of logits, int64 (n, ...). Of other outputs (n, values) with normal
        noise of their own spread: then the squared gradients of the squared difference estimate its
        Gauss-Newton matrix, as those of the cross-entropy do.
    """
    if are_logits:
        return reference.argmax(dim=-1)
    spread = reference.std(correction=0)
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(seed))
    return reference + noise * torch.where(spread > 0, spread, 1.0)


def stand_in_losses(outputs: Any, targets: Tensor, *, of_tokens: bool, rows: Rows) -> Tensor:
    """Return the loss of each sample against what `stand_ins` gave, (n,).

    Raises:
        StatisticsError: as `divergences`.
    """
    samples = len(targets)
    if targets.is_floating_point():
        found = rows_of(outputs, samples, rows.flags)
        check_alike(targets.shape, found.shape)
        return (found - targets).square().mean(dim=1)
    logits = logits_in(outputs, samples, of_tokens=of_tokens)
    assert logits is not None  # noqa: S101 - it gave some before
    check_alike(targets.shape, logits.shape[:-1])
    entropies = functional.cross_entropy(
        logits.flatten(0, -2), targets.flatten().to(logits.device), reduction="none"
    )
    return entropies.reshape(samples, -1).mean(dim=1)
