"""Giving integer convolutions the batch norm, sum, ReLU and quantizer that follow them."""

import operator

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gp_emq.quantization._integer import IntegerConv2d

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
_SUMS = (operator.add, operator.iadd, torch.add)
# Calls whose result is a tensor of its own, which a convolution may overwrite.
_FRESH = (F.relu, F.pad, torch.relu, *_SUMS)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, IntegerConv2d) or super().is_leaf_module(m, module_qualified_name)


def fuse_integer_convolutions(model: nn.Module) -> nn.Module:
    """Rewrite a network so that its integer convolutions take over what follows them.

    Args:
        model: a network in eval mode, some of whose convolutions are `IntegerConv2d`.

    Returns:
        A network that shares the modules of `model` and computes the same; `model` itself
        where its forward cannot be traced.
    """
    if any(_hooked(module) for module in model.modules()):
        # Tracing leaves hooks of the network itself out.
        return model
    try:
        graph = _Tracer().trace(model)
    except (fx.proxy.TraceError, TypeError, RuntimeError, NotImplementedError, ValueError):
        # Control flow that depends on values cannot be traced, and need not be.
        return model
    modules = dict(model.named_modules())
    for node in list(graph.nodes):
        if isinstance(_module(node, modules), IntegerConv2d):
            _fuse(graph, node, modules)
    graph.lint()
    return fx.GraphModule(model, graph)


def _fuse(graph: fx.Graph, node: fx.Node, modules: dict[str, nn.Module]) -> None:
    convolution = modules[str(node.target)]
    assert isinstance(convolution, IntegerConv2d)  # noqa: S101 - checked by the caller
    if _calls_of(graph, node) != 1 or len(node.args) != 1 or node.kwargs:
        return
    user = _only_user(node)
    norm = _module(user, modules)
    if type(norm) in _NORMS and isinstance(norm, _BatchNorm) and norm.running_mean is not None:
        assert user is not None  # noqa: S101 - narrows; it is the norm's call
        if len(user.args) != 1 or user.kwargs or _calls_of(graph, user) != 1:
            return
        convolution.norm = norm
        user = _absorb(graph, node, user)
    if user is not None and user.op == "call_function" and user.target in _SUMS:
        residual = _overwritable_residual(node, user, modules)
        if residual is not None:
            node = _move(graph, node, user, residual)
            user = _only_user(node)
    if _is_relu(user, modules):
        convolution.relu = True
        user = _absorb(graph, node, user)
    following = _module(user, modules)
    if isinstance(following, IntegerConv2d) and len(node.args) == 1:
        convolution.output = following.input


def _overwritable_residual(
    node: fx.Node, total: fx.Node, modules: dict[str, nn.Module]
) -> fx.Node | None:
    """Return what a sum adds to a convolution, if nothing reads that afterwards."""
    if total.kwargs or len(total.args) != 2:
        return None
    others = [argument for argument in total.args if argument is not node]
    if len(others) != 1 or not isinstance(others[0], fx.Node):
        return None
    other = others[0]
    fresh = (other.op == "call_function" and other.target in _FRESH) or isinstance(
        _module(other, modules), IntegerConv2d
    )
    if not fresh or any(not (user < total or user is total) for user in other.users):
        return None
    # A view read later would see the overwritten values.
    if any(user is not total and not _reads_at_once(user, modules) for user in other.users):
        return None
    return other


def _reads_at_once(user: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if isinstance(_module(user, modules), (IntegerConv2d, nn.Conv2d)):
        return True
    return user.op == "call_function" and user.target in _FRESH


def _absorb(graph: fx.Graph, node: fx.Node, user: fx.Node | None) -> fx.Node | None:
    """Let a node stand for its only user, and return the user's only user."""
    assert user is not None  # noqa: S101 - narrows; the caller looked at it
    user.replace_all_uses_with(node)
    graph.erase_node(user)
    return _only_user(node)


def _move(graph: fx.Graph, node: fx.Node, total: fx.Node, residual: fx.Node) -> fx.Node:
    """Put a convolution in the place of a sum, with the other summand as second argument."""
    with graph.inserting_before(total):
        moved = graph.call_module(str(node.target), (node.args[0], residual))
    total.replace_all_uses_with(moved)
    graph.erase_node(total)
    graph.erase_node(node)
    return moved


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _calls_of(graph: fx.Graph, node: fx.Node) -> int:
    return sum(n.op == "call_module" and n.target == node.target for n in graph.nodes)


def _module(node: fx.Node | None, modules: dict[str, nn.Module]) -> nn.Module | None:
    if node is None or node.op != "call_module":
        return None
    return modules.get(str(node.target))


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _is_relu(node: fx.Node | None, modules: dict[str, nn.Module]) -> bool:
    if node is None:
        return False
    if node.op == "call_function":
        return node.target in (F.relu, torch.relu)
    if node.op == "call_method":
        return node.target in ("relu", "relu_")
    return type(_module(node, modules)) is nn.ReLU
