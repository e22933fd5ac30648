"""Training a network while it is quantized."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence, Sized
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gp_emq.determinism import threads
from gp_emq.errors import TrainingError
from gp_emq.files import code_sha256
from gp_emq.networks import Layer, Workload, check_finite, private_copy
from gp_emq.qat._checkpoint import CODE, load_checkpoint, make_folder
from gp_emq.qat._evaluation import LabelledImages
from gp_emq.qat._labels import check_labels, classes_of
from gp_emq.qat._network import learnable_network, quantized_model
from gp_emq.qat._processes import Processes, joined_processes
from gp_emq.qat._samples import Samples, WorkloadSamples
from gp_emq.qat._settings import QatSettings
from gp_emq.qat._trainer import EpochProgress, Trainer
from gp_emq.qat._warm_start import fitted_start, trained_widths
from gp_emq.quantization import QuantizedModel


def train(
    model: nn.Module,
    layers: Sequence[Layer],
    widths: Mapping[str, int],
    start: QuantizedModel,
    samples: Samples | WorkloadSamples,
    *,
    settings: QatSettings | None = None,
    test: LabelledImages | Workload | None = None,
    folder: Path | None = None,
    device: str = "auto",
    report: EpochProgress | None = None,
    quiet: bool = True,
) -> QuantizedModel:
    """Train a quantized network: its weights, its step sizes, and all it has in float.

    Learned step sizes as in Esser et al. 2020 (arXiv 1902.08153). Under ``torchrun`` all
    processes call this alike and train together; all return the same.

    On a processor the result is the same to the last bit for the same arguments, however often
    the training was killed and started again with the same folder.

    Args:
        model: The float network, also the teacher of distillation. It is left alone.
        layers: Its layers, in forward order.
        widths: Width of the weight by name of the layer; `FLOAT_BITS` or absent to stay in float.
        start: A quantized model to start from, as post-training quantization gives it for these
            widths. Where the settings ask for other widths than it has, its grids are adapted.
        samples: The training images, or the samples of a workload, which brings its loss along.
        settings: How to train.
        test: Labelled images or a workload, of which the accuracy or metric after each epoch is
            logged. They decide nothing.
        folder: Where checkpoint and log are kept; a checkpoint that is there is gone on with.
            None to keep nothing.
        device: As for `joined_processes`.
        report: Called by the first process after every epoch.
        quiet: Whether to show no progress bar.

    Returns:
        The trained network, with weights and inputs of layers on their learned grids.

    Raises:
        DataError: Labels are no classes of the network.
        StatisticsError: It gives no logits of two classes or more, and there are labels.
        TrainingError: Widths, start or settings do not fit, the folder has the checkpoint of
            another training, or the loss is no longer finite.
        RunError: The folder cannot be written.

    Examples:
        >>> from gp_emq.networks import load_images, load_network
        >>> from gp_emq.qat import QatSettings, Samples, TensorImages, train, warm_start
        >>> digits, data = load_network("digits"), load_images("digits", part="training")
        >>> widths = {layer.name: 2 for layer in digits.layers}
        >>> settings = QatSettings(epochs=1, batch=64)
        >>> start = warm_start(digits.model, digits.layers, widths, data.images[:64], settings)
        >>> samples = Samples(TensorImages(data.images, data.labels))
        >>> trained = train(digits.model, digits.layers, widths, start, samples, settings=settings)
        >>> int(trained.weights["layer1.0.conv1"].integers.min())
        -2
    """
    settings = settings or QatSettings()
    given, model = model, private_copy(model)
    check_finite(model)
    found = trained_widths(layers, widths, settings.first_last_bits)
    start = fitted_start(model, layers, found, start, settings)
    with _own_modes(), joined_processes(device) as processes, threads(settings.threads):
        _check_batch(settings, samples, processes)
        # Where the float outputs alone are the target, labels decide nothing.
        classes = None if settings.distillation == 1 else classes_of(model, samples)
        check_labels(model, samples, test, classes)
        network = learnable_network(model, start)
        description = _description(settings, model, network, samples, processes)
        trainer = Trainer(
            network,
            private_copy(model) if settings.distillation > 0 else None,
            found,
            samples,
            settings,
            processes=processes,
            test=test,
            classes=classes,
        )
        if folder is not None:
            _take_up(trainer, folder, description, processes)
        trainer.run(description, folder=folder, report=report, quiet=quiet)
        trained = quantized_model(
            given, trainer.network, list(start.weights), list(start.activations)
        )
        trained.give_as(start)
        return trained


def _take_up(
    trainer: Trainer, folder: Path, description: Mapping[str, str], processes: Processes
) -> None:
    """Go on from the checkpoint in a folder, which is made where it is not there."""
    if processes.first:
        make_folder(folder)
    checkpoint = load_checkpoint(folder, description)
    if checkpoint is not None:
        trainer.restore(checkpoint)


@contextlib.contextmanager
def _own_modes() -> Iterator[None]:
    """Train with gradients and without the caller's autocast, wherever the caller is."""
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield


def _check_batch(settings: QatSettings, samples: Sized, processes: Processes) -> None:
    if settings.batch % processes.count:
        raise TrainingError(
            f"a batch of {settings.batch} does not divide among {processes.count} processes"
        )
    if len(samples) < settings.batch:
        raise TrainingError(
            f"a batch of {settings.batch} needs as many training images: there are {len(samples)}"
        )


def _description(
    settings: QatSettings,
    model: nn.Module,
    network: nn.Module,
    samples: Samples | WorkloadSamples,
    processes: Processes,
) -> dict[str, str]:
    """Say what decides the result, so that no other training goes on from a checkpoint."""
    return {
        **{name: str(value) for name, value in settings.decisive().items()},
        **samples.describe(),
        "processes": str(processes.count),
        "device": processes.device.type,
        "float_network": _sha256(model.state_dict()),
        "start": _sha256(network.state_dict()),
        CODE: code_sha256("gp_emq.qat._trainer"),
    }


def _sha256(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(repr((name, tuple(value.shape), str(value.dtype))).encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).data)
    return digest.hexdigest()
