from ._as_method import method_settings, train_plan
from ._checkpoint import CHECKPOINT_NAME, LOG_NAME, EpochRecord
from ._evaluation import LabelledImages, evaluate
from ._learned_grid import LearnedGrid
from ._network import learnable_network, quantized_model
from ._processes import Processes, joined_processes
from ._recipes import RECIPES, Recipe, find_recipe
from ._samples import (
    FileImages,
    ImageSource,
    PreparedImages,
    Samples,
    TensorImages,
    WorkloadSamples,
)
from ._settings import PRECISIONS, WEIGHT_DECAY_SHARES, QatSettings
from ._train import train
from ._warm_start import trained_plan, trained_widths, warm_start

__all__ = [
    "CHECKPOINT_NAME",
    "LOG_NAME",
    "PRECISIONS",
    "RECIPES",
    "WEIGHT_DECAY_SHARES",
    "EpochRecord",
    "FileImages",
    "ImageSource",
    "LabelledImages",
    "LearnedGrid",
    "PreparedImages",
    "Processes",
    "QatSettings",
    "Recipe",
    "Samples",
    "TensorImages",
    "WorkloadSamples",
    "evaluate",
    "find_recipe",
    "joined_processes",
    "learnable_network",
    "method_settings",
    "quantized_model",
    "train",
    "train_plan",
    "trained_plan",
    "trained_widths",
    "warm_start",
]
