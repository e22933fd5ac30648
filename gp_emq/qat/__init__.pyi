from ._as_method import method_settings, train_plan
from ._asked import NO_NETWORK, TrainSettings
from ._recipes import RECIPES, find_recipe
from ._samples import Samples, TensorImages
from ._settings import PRECISIONS, QatSettings
from ._train import train
from ._warm_start import trained_plan, warm_start

__all__ = [
    "NO_NETWORK",
    "PRECISIONS",
    "RECIPES",
    "QatSettings",
    "Samples",
    "TensorImages",
    "TrainSettings",
    "find_recipe",
    "method_settings",
    "train",
    "train_plan",
    "trained_plan",
    "warm_start",
]
