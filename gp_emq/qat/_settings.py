"""How a network is trained while it is quantized."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gp_emq.errors import TrainingError
from gp_emq.quantization import MAX_BITS, MIN_BITS

PRECISIONS = ("float32", "bfloat16", "float16")

WEIGHT_DECAY_SHARES: Mapping[int, float] = {2: 0.25, 3: 0.5}
"""What LSQ (section 3.1) leaves of the weight decay at few bits, which regularize by themselves."""


@dataclass(frozen=True)
class QatSettings:
    """How a network is trained while it is quantized.

    Stochastic gradient descent with momentum; the learning rate falls along a cosine to zero,
    step by step.

    Attributes:
        epochs: Passes over the training images.
        batch: Images of one step, over all processes together.
        learning_rate: The highest there is.
        step_learning_rate: The same for the step sizes; None for that of the weights. Their
            gradients are scaled so that one rate fits both.
        momentum: Of the descent.
        weight_decay: Of the weights of layers, times `WEIGHT_DECAY_SHARES` at few bits. Step
            sizes, biases and batch norms do not decay.
        warm_up: Epochs, or a part of one, in which the learning rate rises from zero.
        label_smoothing: Share of the target that is spread over all classes.
        distillation: Share of the loss that is the distance to the float network's outputs, the
            rest being cross-entropy with the labels; 1 for training without labels.
        temperature: Divides the logits that distillation compares.
        first_last_bits: Least width of the weight and the input of the first and the last
            quantized layer; None to leave them as planned. The result is then of another size
            than the plan, and says so.
        activation_bits: Width of the inputs of layers.
        precision: Of the passes on a GPU, one of `PRECISIONS`; on a processor always float32.
        seed: Of order, augmentation and dropout.
        threads: Of torch on a processor. Sums differ in their last digits between numbers of
            threads, so a result belongs to one of them.
        workers: Processes that load images, per training process; no result depends on them.

    Raises:
        TrainingError: A value is out of range; the message says which.
    """

    epochs: int = 10
    batch: int = 128
    learning_rate: float = 0.01
    step_learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warm_up: float = 0.0
    label_smoothing: float = 0.0
    distillation: float = 0.0
    temperature: float = 1.0
    first_last_bits: int | None = None
    activation_bits: int = 8
    precision: str = "float32"
    seed: int = 0
    threads: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 2), ("seed", 0), ("threads", 1)):
            self._check(name, getattr(self, name) >= least, f"at least {least}")
        self._check("workers", self.workers >= 0, "at least 0")
        for name in ("learning_rate", "temperature"):
            self._check(name, 0 < getattr(self, name) < math.inf, "a positive number")
        rate = self.step_learning_rate
        self._check("step_learning_rate", rate is None or 0 < rate < math.inf, "a positive number")
        self._check("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0")
        self._check("momentum", 0 <= self.momentum < 1, "at least 0 and below 1")
        self._check("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and below 1")
        self._check("distillation", 0 <= self.distillation <= 1, "0 to 1")
        self._check(
            "warm_up", 0 <= self.warm_up < self.epochs, f"at least 0 and below {self.epochs} epochs"
        )
        for name in ("first_last_bits", "activation_bits"):
            bits = getattr(self, name)
            fits = bits is None or MIN_BITS <= bits <= MAX_BITS
            self._check(name, fits, f"{MIN_BITS} to {MAX_BITS}")
        self._check("precision", self.precision in PRECISIONS, ", ".join(PRECISIONS))

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide the result, as plain values."""
        return {name: value for name, value in asdict(self).items() if name != "workers"}

    def _check(self, name: str, right: bool, allowed: str) -> None:
        if not right:
            raise TrainingError(
                f"{name.replace('_', ' ')} must be {allowed}, not {getattr(self, name)}"
            )
