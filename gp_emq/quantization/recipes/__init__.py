"""Recipes: the ways from a float network to a quantized one, each in a file of its own.

A recipe is a module of this package with a `Recipe` called `RECIPE`: benches measure by it,
`gp_emq.quantize` quantizes by it, and quantization-aware training starts from it.
"""

from gp_emq.quantization.recipes._recipe import Recipe, RoundedNetwork
from gp_emq.quantization.recipes._registry import find_recipe, list_recipes
from gp_emq.quantization.recipes._task import Counter, Progress, Task

__all__ = [
    "Counter",
    "Progress",
    "Recipe",
    "RoundedNetwork",
    "Task",
    "find_recipe",
    "list_recipes",
]
