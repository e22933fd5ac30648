"""Small networks of many kinds, trained by this project and shipped with it."""

from gp_emq.networks.zoo._members import ADAMW, SGD, ZOO, Member, Recipe

__all__ = ["ADAMW", "SGD", "ZOO", "Member", "Recipe"]
