"""Why individuals are rejected, as the store records it."""

SIZE = "too large"
DEPTH = "too deep"
NO_STATISTIC = "no statistic"
SCALE = "depends on scale"
EQUIVALENT = "equivalent to one seen"
SHAPE = "shape mismatch"
NOT_FINITE = "not finite"
CONSTANT = "constant scores"
PRECISION = "rounding noise"
NOT_INVARIANT = "not scale invariant"
DUPLICATE = "duplicate table"
CHEAP = frozenset({SIZE, DEPTH, NO_STATISTIC, SCALE, EQUIVALENT})
"""Reasons that cost no evaluation."""
INVALID = frozenset({SHAPE, NOT_FINITE, CONSTANT, PRECISION, NOT_INVARIANT})
"""Reasons that blame the operators; being too large or a repetition does not."""

BY_OPERATOR = "operator failed: "
"""How the reason begins where an operator of a user's own failed; it blames that operator."""

FAILED = "failed: "
"""How the reason begins where it was a worker that failed, which blames nobody's operators."""


def blames_operators(reason: str) -> bool:
    """Say whether a reason speaks against the operators of a tree."""
    return reason in INVALID or reason.startswith(BY_OPERATOR)


def is_telling(reason: str | None) -> bool:
    """Say whether an individual that was rejected so, or accepted, says anything of operators."""
    return reason not in CHEAP and not (reason or "").startswith(FAILED)
