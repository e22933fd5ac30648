from ._as_method import method_settings, train_plan
from ._recipes import RECIPES, find_recipe
from ._samples import Samples, TensorImages
from ._settings import PRECISIONS, QatSettings
from ._train import train
from ._warm_start import trained_plan, warm_start

__all__ = [
    "PRECISIONS",
    "RECIPES",
    "QatSettings",
    "Samples",
    "TensorImages",
    "find_recipe",
    "method_settings",
    "train",
    "train_plan",
    "trained_plan",
    "warm_start",
]
