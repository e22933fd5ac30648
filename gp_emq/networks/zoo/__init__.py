"""Small networks of many kinds, trained by this project and shipped with it."""

from gp_emq.networks.zoo._members import SGD, ZOO, Member, Recipe
from gp_emq.networks.zoo._split import part_of, refuse_held_out

__all__ = [
    "SGD",
    "ZOO",
    "Member",
    "Recipe",
    "part_of",
    "refuse_held_out",
]
