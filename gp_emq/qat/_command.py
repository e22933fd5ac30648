"""What ``python -m gp_emq.qat`` does."""

import sys
from dataclasses import replace
from pathlib import Path

from gp_emq.allocation import FLOAT_BITS, Plan, load_plan
from gp_emq.command import resumption
from gp_emq.determinism import threads
from gp_emq.errors import TrainingError
from gp_emq.files import refuse_code
from gp_emq.networks import PER_CHANNEL, TOP_1, Workload, file_sha256
from gp_emq.outputs import check_output_folder
from gp_emq.qat._asked import NO_NETWORK, TrainSettings
from gp_emq.qat._checkpoint import CHECKPOINT_NAME
from gp_emq.qat._evaluation import evaluate
from gp_emq.qat._inputs import QatInputs, load_qat_inputs
from gp_emq.qat._processes import Processes, joined_processes
from gp_emq.qat._result import RESULT_NAME, Summary, average_bits, write_result
from gp_emq.qat._train import train
from gp_emq.qat._warm_start import trained_plan, trained_widths, warm_start


def train_as_asked(asked: TrainSettings) -> None:
    """Train a network as the command line says, and write the result.

    Raises:
        GpEmqError: What was asked for is unknown, missing or does not fit.
    """
    plan = None if asked.plan is None else load_plan(asked.plan)
    settings = asked.training
    if plan is not None and asked.activation_bits is None:
        inputs_at = plan.activation_bits or settings.activation_bits
        settings = replace(settings, activation_bits=inputs_at)
    network = asked.network or (plan.provenance.get("network") if plan is not None else None)
    network = asked.workload or network
    if network is None:
        raise TrainingError(NO_NETWORK)
    if asked.network is None and asked.workload is None:
        refuse_code(
            network, TrainingError, f"{asked.plan} names the network", "--network or --workload"
        )
    folder = asked.out or _default_folder(asked, network)
    check_output_folder(folder)
    with (
        resumption(lambda: _kept(folder)),
        joined_processes(asked.device) as processes,
        threads(settings.threads),
    ):
        inputs = load_qat_inputs(
            None if asked.workload is not None else network,
            asked.weights,
            asked.data,
            asked.test_data,
            images=asked.images,
            seed=settings.seed,
            workload=asked.workload,
            test_workload=asked.test_workload,
        )
        if plan is not None and asked.plan is not None:
            _check_origin(plan, inputs, asked.plan)
        _train(replace(asked, training=settings), plan, inputs, folder, processes)


def _kept(folder: Path) -> str:
    """Say how to go on after an interruption."""
    if not (folder / CHECKPOINT_NAME).exists():
        return "no epoch is complete yet: the same command begins anew"
    return f"every complete epoch is kept in {folder}: the same command goes on from there"


def _train(
    asked: TrainSettings,
    plan: Plan | None,
    inputs: QatInputs,
    folder: Path,
    processes: Processes,
) -> None:
    settings = asked.training
    model, layers = inputs.network.model, inputs.network.layers
    one = asked.bits or FLOAT_BITS
    planned = plan.widths if plan is not None else {layer.name: one for layer in layers}
    result = None if plan is None else trained_plan(plan, layers, settings)
    widths = trained_widths(
        layers, planned if result is None else result.widths, settings.first_last_bits
    )
    granularity = PER_CHANNEL if plan is None else plan.granularity
    start = warm_start(model, layers, widths, inputs.calibration, settings, granularity=granularity)
    trained = train(
        model,
        layers,
        widths,
        start,
        inputs.samples,
        settings=settings,
        test=inputs.test,
        folder=folder,
        device=asked.device,
        quiet=asked.quiet,
    )
    accuracies = [
        None
        if inputs.test is None
        else evaluate(
            network.to(processes.device), inputs.test, processes, workers=settings.workers
        )
        for network in (model, start, trained)
    ]
    if not processes.first:
        return
    quantized = {name: width for name, width in planned.items() if width != FLOAT_BITS}
    summary = Summary(
        network=inputs.network.name,
        widths=widths,
        settings=settings,
        planned_bits=average_bits(layers, quantized),
        average_bits=average_bits(layers, widths),
        images=0 if inputs.test is None else len(inputs.test),
        float_accuracy=accuracies[0],
        start_accuracy=accuracies[1],
        accuracy=accuracies[2],
        metric=inputs.test.metric.name if isinstance(inputs.test, Workload) else TOP_1.name,
    )
    write_result(folder, trained, summary, result)
    if not asked.quiet:
        sys.stdout.write(summary.text())
        sys.stderr.write(f"wrote {folder / RESULT_NAME}\n")


def _check_origin(plan: Plan, inputs: QatInputs, path: Path) -> None:
    """Refuse a plan that was made for another network."""
    shapes = {layer.name: layer.weight_shape for layer in inputs.network.layers}
    for planned in plan.layers:
        shape = planned.layer.weight_shape
        if shapes.get(planned.name) != shape:
            raise TrainingError(
                f"{path} is not for {inputs.network.name}: that has no layer {planned.name!r} of "
                f"the shape {shape}"
            )
    missing = plan.unplanned(inputs.network.layers)
    if missing:
        raise TrainingError(
            f"{path} is not for {inputs.network.name}: it says nothing of the layer "
            f"{missing[0]!r}, the first of {len(missing)} that it lacks"
        )
    weights, wanted = inputs.network.weights, plan.provenance.get("weights_sha256")
    if weights is not None and wanted is not None and file_sha256(weights) != wanted:
        sys.stderr.write(f"note: {path} was made for other weights than {weights}\n")


def _default_folder(asked: TrainSettings, network: str) -> Path:
    if asked.plan is not None:
        return asked.plan.with_name(f"{asked.plan.stem}-qat")
    return Path(f"{network.replace(':', '-')}-{asked.bits}bit-qat")
