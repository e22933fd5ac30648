"""A network as a function of its layers' weights, which leaves the model itself alone."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from gp_emq.determinism import one_thread
from gp_emq.errors import StatisticsError
from gp_emq.networks import Layer


@contextlib.contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Inside the block: eval mode, repeatable arithmetic, attention that can be derived twice.

    The fused attention kernels have no double backward, and the encoder's fast path skips
    the linear layers; both are switched off so that every statistic sees one network.
    Everything is put back afterwards, the training flag of each module too.
    """
    training = [(module, module.training) for module in model.modules()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    precision = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with one_thread(), sdpa_kernel(SDPBackend.MATH), cudnn, torch.enable_grad():
        try:
            model.eval()
            torch.backends.mha.set_fastpath_enabled(False)
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.set_float32_matmul_precision(precision)
            torch.backends.mha.set_fastpath_enabled(fast_path)
            for module, flag in training:
                module.training = flag


class FunctionalNetwork:
    """Logits and loss of a model as functions of the weights of its layers.

    Parameters and buffers are handed to the forward pass from outside, so that the model's
    own are neither changed nor given gradients, frozen ones included. All of its methods
    belong inside `evaluation(model)`.

    Args:
        model: The network; maps (n, C, H, W) to logits (n, classes).
        layers: Its layers, in the order in which weights are given and returned.
    """

    def __init__(self, model: nn.Module, layers: Sequence[Layer]) -> None:
        self.model = model
        self.layers = tuple(layers)
        parameters = dict(model.named_parameters(remove_duplicate=False))
        for layer in self.layers:
            if f"{layer.name}.weight" not in parameters:
                raise StatisticsError(
                    f"the weight of layer {layer.name!r} is no plain parameter of the model"
                )
        self._parameters = {
            name: _floating(parameter.detach()) for name, parameter in parameters.items()
        }
        # A parameter that several modules share must stay one variable.
        self._owner = {name: id(parameter) for name, parameter in parameters.items()}
        self.device = next(iter(parameters.values())).device

    @property
    def modules(self) -> list[nn.Module]:
        """The layers' modules."""
        return [self.model.get_submodule(layer.name) for layer in self.layers]

    def weights(self, transform: Callable[[Tensor], Tensor] | None = None) -> list[Tensor]:
        """Fresh leaf variables with the layers' weights.

        Args:
            transform: Applied to the values, if given.
        """
        leaves: dict[int, Tensor] = {}
        for layer in self.layers:
            name = f"{layer.name}.weight"
            if self._owner[name] not in leaves:
                value = self._parameters[name].clone()
                if transform is not None:
                    value = transform(value).clone()
                leaves[self._owner[name]] = value.requires_grad_()
        return [leaves[self._owner[f"{layer.name}.weight"]] for layer in self.layers]

    def logits(
        self,
        weights: Sequence[Tensor],
        images: Tensor,
        transform: Callable[[Tensor], Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Run the network.

        Args:
            weights: The layers' weights.
            images: (n, C, H, W).
            transform: Applied to all other parameters, if given.
            dtype: Floating type of the run; `weights` must have it already.

        Returns:
            (n, classes).

        Raises:
            StatisticsError: The output is no matrix of logits.
        """
        given = {
            self._owner[f"{layer.name}.weight"]: weight
            for layer, weight in zip(self.layers, weights, strict=True)
        }
        state: dict[str, Tensor] = {}
        for name, value in self._parameters.items():
            if self._owner[name] in given:
                state[name] = given[self._owner[name]]
            else:
                changed = value if transform is None else transform(value)
                state[name] = _floating(changed, dtype)
        for name, buffer in self.model.named_buffers(remove_duplicate=False):
            state[name] = _floating(buffer.detach().clone(), dtype)
        output = functional_call(
            self.model, state, (images.to(self.device, dtype),), tie_weights=False
        )
        if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != len(images):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise StatisticsError(
                f"the network must map {len(images)} images to ({len(images)}, classes) logits, "
                f"it gives {shape}"
            )
        return output

    def summed_loss(self, weights: Sequence[Tensor], images: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy summed over images.

        Args:
            weights: The layers' weights.
            images: (n, C, H, W).
            labels: int64 (n,).

        Returns:
            Scalar.
        """
        logits = self.logits(weights, images)
        return functional.cross_entropy(logits, labels.to(self.device), reduction="sum")

    def predictions(self, images: Tensor, chunk: int) -> Tensor:
        """The network's own answers.

        Args:
            images: (n, C, H, W).
            chunk: Images at once.

        Returns:
            int64 (n,), on the CPU.
        """
        weights = self.weights()
        with torch.no_grad():
            return torch.cat(
                [
                    self.logits(weights, part).argmax(dim=1).cpu()
                    for part in torch.split(images, chunk)
                ]
            )


def _floating(value: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Cast a floating tensor; leave integers (counters, indices) alone."""
    return value.to(dtype) if value.is_floating_point() else value
