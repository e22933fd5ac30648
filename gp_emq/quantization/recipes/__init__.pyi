from ._recipe import Recipe, RoundedNetwork
from ._registry import find_recipe, list_recipes
from ._task import Counter, Progress, Task

__all__ = [
    "Counter",
    "Progress",
    "Recipe",
    "RoundedNetwork",
    "Task",
    "find_recipe",
    "list_recipes",
]
