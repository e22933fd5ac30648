"""Learned rounding of single layers, and biases moved by what rounding still changes."""

from gp_emq.quantization.recipes._recipe import Recipe
from gp_emq.quantization.recipes.adaround import learn_layer
from gp_emq.quantization.recipes.rtn_bias_correction import correct_biases

RECIPE = Recipe(
    "adaround+bias-correction",
    "learned rounding, then biases moved by what it changes on the images",
    learn_layer,
    correct=correct_biases,
    iterations=1000,
    moves_biases=True,
)
