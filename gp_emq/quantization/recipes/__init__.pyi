from ._learned_rounding import learned_rounding
from ._recipe import Recipe, RoundedNetwork
from ._registry import find_recipe, list_recipes, usual_method
from ._task import Progress, Task

__all__ = [
    "Progress",
    "Recipe",
    "RoundedNetwork",
    "Task",
    "find_recipe",
    "learned_rounding",
    "list_recipes",
    "usual_method",
]
