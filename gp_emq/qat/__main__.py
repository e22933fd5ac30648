"""Quantization-aware training: ``python -m gp_emq.qat --plan plan.json``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gp_emq.allocation import FLOAT_BITS, Plan, load_plan
from gp_emq.command import resumption, run_command
from gp_emq.determinism import threads
from gp_emq.errors import TrainingError
from gp_emq.files import refuse_code
from gp_emq.networks import file_sha256
from gp_emq.outputs import check_output_folder
from gp_emq.qat._checkpoint import CHECKPOINT_NAME
from gp_emq.qat._evaluation import evaluate
from gp_emq.qat._inputs import QatInputs, load_qat_inputs
from gp_emq.qat._parser import parse_options, recipe_lines, settings_of
from gp_emq.qat._processes import Processes, joined_processes
from gp_emq.qat._result import RESULT_NAME, Summary, average_bits, write_result
from gp_emq.qat._settings import QatSettings
from gp_emq.qat._train import train
from gp_emq.qat._warm_start import trained_plan, trained_widths, warm_start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``sys.argv`` if None.

    Returns:
        Exit status 0.

    Raises:
        GpEmqError: What was asked for is unknown, missing or does not fit.
    """
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    if options.list_recipes:
        sys.stdout.writelines(recipe_lines())
        return 0
    settings = settings_of(options)
    plan = None if options.plan is None else load_plan(options.plan)
    if plan is None and options.bits is None:
        raise TrainingError("no widths: give --plan, or --bits for one width everywhere")
    if plan is not None and options.activation_bits is None:
        inputs_at = plan.activation_bits or settings.activation_bits
        settings = replace(settings, activation_bits=inputs_at)
    network = options.network or (plan.provenance.get("network") if plan is not None else None)
    if network is None:
        raise TrainingError("no network: give --network, or a plan that names one")
    if options.network is None:
        refuse_code(network, TrainingError, f"{options.plan} names the network", "--network")
    options.out = options.out or _default_folder(options, network)
    check_output_folder(options.out)
    with (
        resumption(lambda: _kept(options.out)),
        joined_processes(options.device) as processes,
        threads(settings.threads),
    ):
        inputs = load_qat_inputs(
            network,
            options.weights,
            options.data,
            options.test_data,
            images=options.images,
            seed=settings.seed,
        )
        if plan is not None:
            _check_origin(plan, inputs, options.plan)
        _train(options, settings, plan, inputs, processes)
    return 0


def _kept(folder: Path) -> str:
    """Say how to go on after an interruption."""
    if not (folder / CHECKPOINT_NAME).exists():
        return "no epoch is complete yet: the same command begins anew"
    return f"every complete epoch is kept in {folder}: the same command goes on from there"


def _train(
    options: argparse.Namespace,
    settings: QatSettings,
    plan: Plan | None,
    inputs: QatInputs,
    processes: Processes,
) -> None:
    folder: Path = options.out
    model, layers = inputs.network.model, inputs.network.layers
    planned = plan.widths if plan is not None else {layer.name: options.bits for layer in layers}
    widths = trained_widths(layers, planned, settings.first_last_bits)
    start = warm_start(model, layers, widths, inputs.calibration, settings)
    trained = train(
        model,
        layers,
        widths,
        start,
        inputs.samples,
        settings=settings,
        test=inputs.test,
        folder=folder,
        device=options.device,
        quiet=options.quiet,
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
    )
    result = None if plan is None else trained_plan(plan, layers, settings)
    write_result(folder, trained, summary, result)
    if not options.quiet:
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


def _default_folder(options: argparse.Namespace, network: str) -> Path:
    if options.plan is not None:
        plan: Path = options.plan
        return plan.with_name(f"{plan.stem}-qat")
    return Path(f"{network.replace(':', '-')}-{options.bits}bit-qat")


if __name__ == "__main__":
    run_command(main)
