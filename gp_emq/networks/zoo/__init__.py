"""Small networks of many kinds, trained by this project and shipped with it."""

from gp_emq.networks.zoo._members import ADAMW, SGD, ZOO, Member, Recipe
from gp_emq.networks.zoo._split import SEARCH, SPLIT, TEST, VALIDATION, part_of, refuse_held_out

__all__ = [
    "ADAMW",
    "SEARCH",
    "SGD",
    "SPLIT",
    "TEST",
    "VALIDATION",
    "ZOO",
    "Member",
    "Recipe",
    "part_of",
    "refuse_held_out",
]
