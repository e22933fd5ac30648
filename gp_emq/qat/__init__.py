"""Quantization-aware training with learned step sizes."""

from gp_emq.qat._as_method import DESCRIPTION, method_settings, train_plan
from gp_emq.qat._checkpoint import CHECKPOINT_NAME, LOG_NAME, EpochRecord
from gp_emq.qat._evaluation import LabelledImages, evaluate
from gp_emq.qat._learned_grid import LearnedGrid
from gp_emq.qat._network import learnable_network, quantized_model
from gp_emq.qat._processes import Processes, joined_processes
from gp_emq.qat._recipes import RECIPES, Recipe, find_recipe
from gp_emq.qat._samples import FileImages, ImageSource, PreparedImages, Samples, TensorImages
from gp_emq.qat._settings import PRECISIONS, WEIGHT_DECAY_SHARES, QatSettings
from gp_emq.qat._train import train
from gp_emq.qat._warm_start import trained_plan, trained_widths, warm_start

__all__ = [
    "CHECKPOINT_NAME",
    "DESCRIPTION",
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
