"""Learned rounding of single layers, and batch-norm statistics moved by what it still changes."""

from gp_emq.quantization.recipes._recipe import Recipe
from gp_emq.quantization.recipes.adaround import learn_layer
from gp_emq.quantization.recipes.rtn_bn_correction import correct_batch_norm

RECIPE = Recipe(
    "adaround+bn-correction",
    "learned rounding, then batch-norm statistics moved by what it changes on the images",
    learn_layer,
    correct=correct_batch_norm,
    iterations=1000,
)
