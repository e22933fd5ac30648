from ._recipe import Recipe, RoundedNetwork
from ._registry import find_recipe, list_recipes, usual_method
from ._task import Progress, Task

__all__ = [
    "Progress",
    "Recipe",
    "RoundedNetwork",
    "Task",
    "find_recipe",
    "list_recipes",
    "usual_method",
]
