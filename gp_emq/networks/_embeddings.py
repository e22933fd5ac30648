"""Embeddings: layers that give rows of their weight, by index."""

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks._derived import derived_class

_RENORMED = (nn.Embedding, nn.EmbeddingBag)


class Embedding(nn.Embedding):
    """`torch.nn.Embedding` whose gradient is dense, and in eval mode that of every row.

    In the mode of training, rows of `padding_idx` stay without one, and `scale_grad_by_freq`
    counts, as whoever made the embedding wants it.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as torch has it
        """Map indices (...) to rows of the weight, (..., numbers of a row)."""
        if not self.training:
            return F.embedding(input, self.weight)
        return F.embedding(
            input, self.weight, self.padding_idx, scale_grad_by_freq=self.scale_grad_by_freq
        )


def derive_densely(model: nn.Module) -> None:
    """Let the embeddings of a private copy have plain gradients.

    Those of torch leave rows of `padding_idx` out, divide by how often an index occurs with
    `scale_grad_by_freq`, and are no plain tensors with `sparse`. What embeddings say of themselves
    stays, and so do those with `max_norm`, which are no layers, and those with a forward of their
    own that does not go through torch's.

    Args:
        model: A copy; changed in place.
    """
    for module in model.modules():
        if (
            isinstance(module, nn.Embedding)
            and not isinstance(module, Embedding)
            and module.max_norm is None
            and (module.padding_idx is not None or module.scale_grad_by_freq or module.sparse)
            and "forward" not in module.__dict__
        ):
            given = type(module)
            made = (
                Embedding
                if given is nn.Embedding
                else derived_class(given.__name__, given, Embedding)
            )
            module.__class__ = made  # type: ignore[assignment]


def renormed_weights(model: nn.Module) -> set[int]:
    """Give the identity of weights that embeddings with `max_norm` change whenever they are used.

    Args:
        model: A network.
    """
    return {
        id(module._parameters["weight"])
        for module in model.modules()
        if isinstance(module, _RENORMED) and module.max_norm is not None
    }
