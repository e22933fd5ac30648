"""Classes of somebody else's modules in which a forward of torch's is one of ours."""

from typing import cast

from torch import nn

_MADE: dict[tuple[type[nn.Module], ...], type[nn.Module]] = {}


def derived_class(name: str, *bases: type[nn.Module]) -> type[nn.Module]:
    """Give a class with some bases; the same one each time, so that types stay comparable.

    Args:
        name: Of the class.
        bases: In the order in which their methods are looked up.
    """
    if bases not in _MADE:
        _MADE[bases] = cast("type[nn.Module]", type(name, bases, {}))
    return _MADE[bases]
