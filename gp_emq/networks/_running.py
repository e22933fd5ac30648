"""The one way to run a network: undisturbed by the caller's settings, and disturbing nothing."""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree

from gp_emq.determinism import one_thread, seed_generators
from gp_emq.errors import GpEmqError, NetworkError
from gp_emq.networks._aliases import held_places, places
from gp_emq.networks._attributes import same_attributes
from gp_emq.networks._held import held_tensors
from gp_emq.networks._hints import described_samples, hint_on
from gp_emq.networks._own_code import said
from gp_emq.networks._private import private_copy
from gp_emq.networks._samples import Samples
from gp_emq.networks._watching import is_linear_map

Forward = Callable[[nn.Module, Any], Any]
"""Feeds inputs to a network, and returns what it gives."""


def feed(model: nn.Module, inputs: Samples) -> Any:
    """Call a network with a tensor, the elements of a tuple, or the items of a dict by name."""
    if isinstance(inputs, (tuple, list)):
        return model(*inputs)
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Inside the block: repeatable arithmetic that can be derived twice, whatever surrounds it.

    Gradients are on, `inference_mode` and autocast of the caller are off, sums run on one
    thread, attention by its plain formula (the fused kernels have no double backward, and the
    encoder's fast path skips the linear layers), random numbers start from one seed.
    Everything is put back afterwards, the states of all random generators too.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    precision = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with (
        _own_random_numbers(),
        one_thread(),
        sdpa_kernel(SDPBackend.MATH),
        cudnn,
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.set_float32_matmul_precision(precision)
            torch.backends.mha.set_fastpath_enabled(fast_path)


@contextlib.contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Seed every global generator that a network may draw from, and put them back afterwards."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the one networks may use
    with torch.random.fork_rng():
        try:
            random.seed(0)
            np.random.seed(0)  # noqa: NPY002
            seed_generators(0)
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


class PrivateNetwork:
    """A private copy of a network that gives equal answers however often it is asked.

    Every pass sees clones of the images and of the buffers, and starts from the same attributes
    of modules and the same random numbers, so that what a forward pass changes or keeps (its
    input, counters, statistics, features) changes no other pass. Run it inside `undisturbed()`.

    Args:
        model: the network, wrapped or not; it is copied and not touched.
        forward: how it is fed.
        is_private: whether the network is such a copy already, and is run itself.

    Attributes:
        model: the copy, see `private_copy`; hooks may be registered on its modules.
        parameters: its parameters by every name that they have; those that modules share are
            one tensor under several names.
        held: the places of all tensors that its modules hold beside parameters and buffers.
        device: where it computes.

    Raises:
        NetworkError: as `private_copy`.
    """

    def __init__(
        self, model: nn.Module, forward: Forward = feed, *, is_private: bool = False
    ) -> None:
        self.model = model if is_private else private_copy(model)
        self.forward = forward
        self.parameters: dict[str, Tensor] = dict(
            self.model.named_parameters(remove_duplicate=False)
        )
        self._places = list(places(self.model))
        self.held = list(held_tensors(self.model))
        self._held = held_places(self.model, self.held)
        self._in_place_of: list[tuple[dict[str, Any], str, Tensor]] = []
        tensors = (*self.model.parameters(), *self.model.buffers())
        self.device = tensors[0].device if tensors else torch.device("cpu")

    def copy_of(self, model: nn.Module) -> "PrivateNetwork":
        """Make a private copy of another network, which is fed as this one is."""
        return PrivateNetwork(model, self.forward)

    def run(
        self,
        images: Samples,
        given: Mapping[str, Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
        *,
        keep: bool = False,
    ) -> Any:
        """Run images through the network.

        Args:
            images: (n, ...), or other samples, cloned before the network sees them.
            given: values to use in place of parameters, by any of their names; a parameter that
                modules share is replaced wherever it is used.
            dtype: floating type of the pass; what is `given` must have it already.
            keep: leave the values of this pass in the modules until the next one, for a backward
                pass that computes parts of the forward pass again, as checkpointing does.

        Returns:
            What the network gives.

        Raises:
            NetworkError: if its forward raises anything.
        """
        replaced = {id(self.parameters[name]): value for name, value in (given or {}).items()}
        self._release()
        for holder, name, value in self._places:
            if id(value) not in replaced:
                # What modules share stays shared.
                used = _floating(value, dtype)
                replaced[id(value)] = used if isinstance(value, nn.Parameter) else used.clone()
            self._in_place_of.append((holder, name, value))
            holder[name] = replaced[id(value)]
        for place in self._held:
            place.replace(replaced)
        fed = _pytree.tree_map_only(
            Tensor, lambda x: _floating(x.detach().to(self.device), dtype).clone(), images
        )
        seed_generators(0)
        try:
            with same_attributes(self.model):
                return self.forward(self.model, fed)
        except GpEmqError:
            raise
        except Exception as error:
            raise NetworkError(
                f"the network fails on {described_samples(images)}: {said(error)}"
                f"{hint_on(self.model, images, error)}"
            ) from error
        finally:
            if not keep:
                self._release()

    def _release(self) -> None:
        """Put the network's own parameters and buffers back into its modules."""
        if self._in_place_of:
            for place in reversed(self._held):
                place.restore()
        while self._in_place_of:
            holder, name, value = self._in_place_of.pop()
            holder[name] = value

    def call(
        self,
        module: nn.Module,
        arguments: Sequence[Any],
        named: Mapping[str, Any],
        given: Mapping[str, Tensor] | None = None,
    ) -> Any:
        """Call one module of the network as a forward pass does, the user's hooks included.

        Args:
            module: one of the network's modules.
            arguments: its positional arguments; floating tensors are cast to float32 copies.
            named: its keyword arguments, likewise.
            given: values to use in place of its own parameters, by their names in the module.

        Returns:
            What the module gives.
        """
        self._release()
        own = dict(module.named_parameters(remove_duplicate=False))
        replaced = {id(own[name]): value for name, value in (given or {}).items()}
        state = {name: replaced[id(value)] for name, value in own.items() if id(value) in replaced}
        state |= {
            name: replaced[id(value)] if id(value) in replaced else value.clone()
            for name, value in module.named_buffers(remove_duplicate=False)
        }
        seed_generators(0)
        try:
            for place in self._held:
                place.replace(replaced)
            with same_attributes(self.model, only=module if is_linear_map(module) else None):
                return functional_call(
                    module,
                    state,
                    tuple(_fresh(value) for value in arguments),
                    {name: _fresh(value) for name, value in named.items()},
                    tie_weights=False,
                )
        finally:
            for place in reversed(self._held):
                place.restore()


def _fresh(value: Any) -> Any:
    """Copy a tensor, in float32 if it is floating."""
    return _floating(value, torch.float32).clone() if isinstance(value, Tensor) else value


def _floating(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast a floating tensor; leave integers (counters, indices) alone."""
    return value.to(dtype) if value.is_floating_point() else value
