"""Finding recipes: every module of the package with a `RECIPE` is one."""

import importlib
import pkgutil

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gp_emq.errors import QuantizationError
from gp_emq.quantization._batch_norm import batch_norms
from gp_emq.quantization.recipes._recipe import Recipe


def list_recipes() -> tuple[Recipe, ...]:
    """Return all recipes, those that learn nothing first, then by name."""
    package = importlib.import_module(__package__)
    recipes = [
        importlib.import_module(f"{__package__}.{module.name}").RECIPE
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    ]
    return tuple(sorted(recipes, key=lambda recipe: (recipe.iterations, recipe.name)))


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        QuantizationError: There is none of this name.
    """
    recipes = list_recipes()
    for recipe in recipes:
        if recipe.name == name:
            return recipe
    known = ", ".join(recipe.name for recipe in recipes)
    if name == "qat":
        raise QuantizationError(f"qat needs training images: use gp_emq.qat.train, or {known}")
    raise QuantizationError(f"unknown method {name!r}: known are {known}")


def usual_method(model: nn.Module, *, learns: bool = False) -> str:
    """Name the recipe for a network where nobody names one, which needs no labels and few images.

    Args:
        model: The network: one with batch norms that keep statistics has those corrected, any other
            the biases of its layers.
        learns: Learn the rounding first, which takes minutes; else round to nearest.
    """
    has_norms = any(isinstance(norm, _BatchNorm) for norm in batch_norms(model))
    corrected = "bn-correction" if has_norms else "bias-correction"
    return f"{'adaround' if learns else 'rtn'}+{corrected}"
