"""Which networks a search may read, which choose among what it found, and which test that.

What is held out are networks. No kind of network that is tested occurs in a search: plain
transformers, with a mean or a class token, large depthwise kernels with group norm, dense
connections, inverted residuals, pooling in place of attention, a way down and up again, recurrent
units, vectors that read patches, gated dilated convolutions, and channels convolved part after part
are seen in tests alone. Attention is seen in a search behind convolutions. Squeeze and excitation,
attention along rows and columns, and shuffled channels are seen in validation first, and so are
residual networks that are wider or deeper than those of the search.

Four kinds of the test were added after the others had been read for formulas that ship:
`inverted-digits`, `pooling-digits`, `hourglass-digits` and `token-digits`; and four when these had
been read: `recurrent-digits`, `latent-digits`, `dilated-digits` and `multiscale-digits`.
"""

from gp_emq.errors import NetworkError

SEARCH, VALIDATION, TEST = "search", "validation", "test"

SPLIT: dict[str, tuple[str, ...]] = {
    SEARCH: (
        "digits", "resnet20", "plain-digits", "plain-cifar10", "separable-digits",
        "separable-cifar10", "bottleneck-digits", "bottleneck-cifar10", "narrow-digits",
        "narrow-cifar10", "mixer-digits", "grouped-digits", "unnormed-digits",
        "attentive-digits", "gated-digits", "branched-digits",
    ),
    VALIDATION: (
        "resnet32", "excite-digits", "excite-cifar10", "wide-digits", "wide-cifar10",
        "shuffled-digits", "axial-digits",
    ),
    TEST: (
        "transformer-digits", "transformer-cifar10", "modern-digits", "modern-cifar10",
        "dense-digits", "dense-cifar10", "mobilenet_v2", "efficientnet_lite0",
        "inverted-digits", "pooling-digits", "hourglass-digits", "token-digits",
        "recurrent-digits", "latent-digits", "dilated-digits", "multiscale-digits",
    ),
}  # fmt: skip
"""Networks by what they are for; those that are none of them, such as a user's own, are free."""


def part_of(network: str) -> str:
    """Return what a network is for: `"search"`, `"validation"`, `"test"`, or nothing in special.

    Args:
        network: its registered name, or any other.
    """
    return next((part for part, names in SPLIT.items() if network in names), "")


def refuse_held_out(network: str, bench: str) -> None:
    """Refuse a bench of a test network: a search must never see one.

    Args:
        network: of the bench.
        bench: its name.

    Raises:
        NetworkError: if it is one.
    """
    if part_of(network) == TEST:
        raise NetworkError(
            f"bench {bench!r} is of {network}, which is a test network: a search may read those "
            f"of {', '.join(SPLIT[SEARCH])}, or of networks of your own"
        )
