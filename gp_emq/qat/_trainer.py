"""The loop of a training: epochs of steps, each epoch kept when it is complete."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree
from torch.utils.data import DataLoader
from tqdm import tqdm

from gp_emq.errors import TrainingError
from gp_emq.files import one_line
from gp_emq.networks import Workload, check_range, count, feed
from gp_emq.qat._checkpoint import Checkpoint, EpochRecord, save_checkpoint
from gp_emq.qat._evaluation import LabelledImages, evaluate
from gp_emq.qat._loss import training_loss, workload_loss
from gp_emq.qat._network import learned_grids
from gp_emq.qat._processes import Processes
from gp_emq.qat._samples import EpochBatches, Samples, WorkloadSamples, seed_of
from gp_emq.qat._schedule import parameter_groups, rate_factor
from gp_emq.qat._settings import QatSettings

EpochProgress = Callable[[EpochRecord], None]

_SHOWN_EVERY = 20


class Trainer:
    """A training that can be stopped after any epoch and gone on with.

    Args:
        network: The network with learned grids.
        teacher: The float network, for distillation; None without.
        widths: Width of the weight by name of the layer.
        samples: The training images.
        settings: How to train.
        processes: Those that train together.
        test: Labelled images, or a workload, to evaluate on after each epoch, or None.
        classes: How many the labels tell apart; None where nobody knows.

    Attributes:
        network: The network, on this process's device.
        history: The completed epochs.
    """

    def __init__(
        self,
        network: nn.Module,
        teacher: nn.Module | None,
        widths: Mapping[str, int],
        samples: Samples | WorkloadSamples,
        settings: QatSettings,
        *,
        processes: Processes,
        test: LabelledImages | Workload | None = None,
        classes: int | None = None,
    ) -> None:
        self._classes = classes
        self._workload = samples.workload if isinstance(samples, WorkloadSamples) else None
        self.history: tuple[EpochRecord, ...] = ()
        self._settings, self._processes, self._test = settings, processes, test
        self.network = _placed(network, processes.device)
        self._teacher: nn.Module | None = None
        if teacher is not None:
            frozen = teacher.requires_grad_(requires_grad=False).eval()
            self._teacher = _placed(frozen, processes.device)
        self._grids = learned_grids(self.network)
        groups = parameter_groups(self.network, widths, settings)
        self._rates = [float(group["lr"]) for group in groups]
        self._optimizer = torch.optim.SGD(groups, momentum=settings.momentum)
        on_gpu = processes.device.type == "cuda"
        self._half = getattr(torch, settings.precision) if on_gpu else torch.float32
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._half is torch.float16)
        self._batches = EpochBatches(
            len(samples),
            settings.batch,
            settings.seed,
            rank=processes.rank,
            processes=processes.count,
        )
        self._loader = DataLoader(
            samples,
            batch_sampler=self._batches,
            num_workers=settings.workers,
            persistent_workers=settings.workers > 0,
            pin_memory=on_gpu,
            # The loader draws a seed it does not need; let it not be from the global generator.
            generator=torch.Generator(),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint was saved.

        Raises:
            TrainingError: It is of another network or optimizer.
        """
        try:
            self.network.load_state_dict(checkpoint.network)
            self._optimizer.load_state_dict(dict(checkpoint.optimizer))
            self._scaler.load_state_dict(dict(checkpoint.scaler))
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(f"the checkpoint does not fit: {one_line(error)}") from error
        self.history = checkpoint.history

    def run(
        self,
        description: Mapping[str, str],
        *,
        folder: Path | None = None,
        report: EpochProgress | None = None,
        quiet: bool = True,
    ) -> None:
        """Train until all epochs are done.

        Args:
            description: What decides the result, for the checkpoints.
            folder: Where they are kept, or None.
            report: Called by the first process after every epoch.
            quiet: Whether to show no progress bar.

        Raises:
            TrainingError: The loss is no longer finite.
            RunError: The folder cannot be written.
        """
        steps = len(self._batches)
        wrapped = self._processes.wrap(self.network)
        with tqdm(
            total=self._settings.epochs * steps,
            initial=len(self.history) * steps,
            desc="training",
            unit="step",
            # None shows a bar on a terminal alone.
            disable=True if quiet or not self._processes.first else None,
            file=sys.stderr,
            dynamic_ncols=True,
        ) as bar:
            for epoch in range(len(self.history), self._settings.epochs):
                record = self._epoch(wrapped, epoch, bar)
                self.history = (*self.history, record)
                if folder is not None and self._processes.first:
                    save_checkpoint(folder, self._checkpoint(description))
                if report is not None and self._processes.first:
                    report(record)
        self.network.eval()

    def _checkpoint(self, description: Mapping[str, str]) -> Checkpoint:
        return Checkpoint(
            description,
            self.network.state_dict(),
            self._optimizer.state_dict(),
            self._scaler.state_dict(),
            self.history,
        )

    def _epoch(self, wrapped: nn.Module, epoch: int, bar: "tqdm[Any]") -> EpochRecord:
        began = time.perf_counter()
        device, steps = self._processes.device, len(self._batches)
        self._batches.epoch = epoch
        self.network.train()
        loss = torch.zeros((), dtype=torch.float64, device=device)
        right = torch.zeros((), dtype=torch.float64, device=device)
        seen = 0
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed_of(self._settings.seed, epoch, self._processes.rank))
            for place, batch in enumerate(self._loader):
                if self._classes is not None:
                    # Of a source of one's own, they are not known before.
                    check_range(batch[1], self._classes, of="training images")
                self._set_rates(epoch * steps + place)
                inputs, truth = _pytree.tree_map_only(Tensor, self._brought, tuple(batch))
                batch_loss, outputs = self._step(wrapped, inputs, truth)
                loss += batch_loss.double() * count(truth)
                right += self._summed_metric(outputs, truth)
                seen += count(truth)
                if not bar.disable and place % _SHOWN_EVERY == 0:
                    bar.set_postfix_str(f"epoch {epoch + 1}, loss {float(batch_loss):.3f}")
                bar.update()
        totals = self._processes.sum(torch.stack([loss, right, loss.new_tensor(seen)])).tolist()
        self._processes.share_buffers(self.network)
        if not math.isfinite(totals[0]):
            raise TrainingError(
                f"the loss of epoch {epoch + 1} is not finite: try a lower learning rate"
            )
        accuracy = None
        if self._test is not None:
            accuracy = evaluate(
                self.network, self._test, self._processes, workers=self._settings.workers
            )
        return EpochRecord(
            epoch=epoch + 1,
            step=(epoch + 1) * steps,
            learning_rate=self._settings.learning_rate * self._factor((epoch + 1) * steps - 1),
            loss=totals[0] / totals[2],
            training_accuracy=totals[1] / totals[2],
            test_accuracy=accuracy,
            seconds=time.perf_counter() - began,
        )

    def _brought(self, values: Tensor) -> Tensor:
        """Bring a tensor to the device."""
        if values.dim() != 4:
            return values.to(self._processes.device, non_blocking=True)
        return values.to(
            self._processes.device, memory_format=torch.channels_last, non_blocking=True
        )

    def _summed_metric(self, outputs: Any, truth: Any) -> Tensor:
        """Sum the metric over samples: how many images are labelled rightly, by default."""
        if self._workload is None:
            right: Tensor = (outputs.argmax(1) == truth).sum()
            return right
        values = self._workload.values(outputs, truth).double()
        return values.sum() if values.dim() else values * count(truth)

    def _step(self, wrapped: nn.Module, inputs: Any, truth: Any) -> tuple[Tensor, Any]:
        """Descend by one batch, and return its loss and what the network gave."""
        run = feed if self._workload is None else self._workload.forward
        kind, half = self._processes.device.type, self._half
        with torch.autocast(kind, dtype=half, enabled=half is not torch.float32):
            teacher = None
            if self._teacher is not None:
                with torch.no_grad():
                    teacher = run(self._teacher, inputs)
            outputs = run(wrapped, inputs)
        if self._workload is None:
            loss = training_loss(outputs, truth, teacher, self._settings)
        else:
            loss = workload_loss(self._workload, outputs, truth, teacher, self._settings)
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self._optimizer)
        self._scaler.update()
        for grid in self._grids:
            grid.keep_positive()
        return loss.detach(), _pytree.tree_map_only(Tensor, Tensor.detach, outputs)

    def _set_rates(self, step: int) -> None:
        factor = self._factor(step)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def _factor(self, step: int) -> float:
        steps = len(self._batches)
        rising = round(self._settings.warm_up * steps)
        return rate_factor(step, self._settings.epochs * steps, rising)


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Bring a network to a device.

    Convolutions are faster over channels that lie beside each other; weights of five axes, as those
    of volumes, cannot lie so.
    """
    if any(parameter.dim() > 4 for parameter in network.parameters()):
        return network.to(device)
    placed: nn.Module = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed
