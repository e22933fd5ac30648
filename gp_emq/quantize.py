"""Quantize a network as a plan says: ``python -m gp_emq.quantize --plan plan.json``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from gp_emq.allocation import Plan, kept_in_float, load_plan, plan_document
from gp_emq.command import make_callable, resumption, run_command
from gp_emq.errors import QuantizationError
from gp_emq.export import EXPORT_OPTIONS, check_exports, export_files, float_bytes, save_quantized
from gp_emq.files import refuse_code
from gp_emq.networks import file_sha256
from gp_emq.outputs import check_output_file, check_output_folder
from gp_emq.ptq import (
    EvaluationInputs,
    QuantizationSettings,
    accuracy,
    difference,
    load_evaluation_inputs,
    planned_activation_bits,
    quantize,
    run_recipe,
)
from gp_emq.ptq._parser import QAT, make_parser
from gp_emq.ptq._text import MethodResult, Report
from gp_emq.qat import DESCRIPTION, QatSettings, method_settings, train_plan, trained_plan
from gp_emq.quantization import QuantizedModel, WeightQuantizer
from gp_emq.quantization.recipes import Recipe, find_recipe, list_recipes
from gp_emq.statistics import default_cache, sha256_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``sys.argv`` if None.

    Returns:
        Exit status 0.

    Raises:
        GpEmqError: What was asked for is unknown, missing or does not fit.
    """
    options = make_parser().parse_args(arguments)
    with resumption(lambda: _kept(options)):
        return _run(options)


def _kept(options: argparse.Namespace) -> str:
    """Say how to go on after an interruption."""
    learns = any(name != QAT and find_recipe(name).learns for name in options.method)
    kept = ["learned rounding"] if learns and not options.no_cache else []
    kept += ["every complete epoch"] if QAT in options.method else []
    if not kept:
        return ""
    return f"{' and '.join(kept)} is kept: the same command goes on from there"


def _run(options: argparse.Namespace) -> int:
    if options.list_methods:
        for method in list_recipes():
            steps = f" ({method.iterations:,} iterations)" if method.learns else ""
            sys.stdout.write(f"{method.name:17} {method.description}{steps}\n")
        sys.stdout.write(f"{QAT:17} {DESCRIPTION}\n")
        return 0
    if options.plan is None:
        raise QuantizationError("--plan is missing: give what python -m gp_emq.allocate wrote")
    plan = load_plan(options.plan)
    names = list(dict.fromkeys(options.method))
    files = _files(options, names)
    settings, training = _settings(options, names, plan), _training(options, names, plan)
    inputs = load_evaluation_inputs(
        _network(options, plan),
        options.weights,
        options.data,
        calibration=options.images,
        tests=options.tests,
        seed=options.seed,
    )
    cache = None if options.no_cache else default_cache()
    before = inputs.right()
    results = []
    for name, file in zip(names, files, strict=True):
        method = find_recipe("rtn" if name == QAT else name)
        quantized = _quantize(method, plan, inputs, settings, cache)
        saved = _saved_settings(settings, method, inputs, options.seed)
        made = plan
        if name == QAT:
            made = trained_plan(plan, inputs.network.layers, training)
            quantized = train_plan(
                plan,
                inputs.network,
                quantized,
                data=options.data,
                settings=training,
                folder=file.with_suffix(""),
                quiet=not sys.stderr.isatty(),
            )
            saved |= {"training": training.decisive()}
        save_quantized(quantized, file, method=name, settings=saved, plan=made)
        sys.stderr.write(f"wrote {file}\n")
        export_files(
            options,
            quantized,
            inputs.network,
            {"method": name, "network": inputs.network.name, "plan": plan_document(made)},
        )
        after = inputs.right(quantized)
        results.append(
            MethodResult(
                name,
                accuracy(after, inputs.groups),
                difference(before, after, inputs.groups),
                str(file),
                made.measures,
                file.stat().st_size,
            )
        )
    report = Report(
        network=inputs.network.name,
        plan=plan,
        plan_file=str(options.plan),
        calibration=len(inputs.calibration),
        images=len(inputs.images),
        groups=inputs.groups,
        labelled=inputs.labelled,
        floating=accuracy(before, inputs.groups),
        results=results,
        in_float=_in_float(plan, inputs),
        notes=_notes(plan, inputs, names, training, settings),
        float_bytes=float_bytes(inputs.network.model),
    )
    sys.stdout.write(report.as_json() if options.format == "json" else report.as_text())
    return 0


def _files(options: argparse.Namespace, names: Sequence[str]) -> list[Path]:
    """Say where each method's network goes, before anything is computed."""
    plan: Path = options.plan
    for option in ("out", *EXPORT_OPTIONS):
        if getattr(options, option) is not None and len(names) > 1:
            raise QuantizationError(
                f"--{option} names one file: give one --method, or leave it out"
            )
    check_exports(options)
    out: Path | None = options.out
    files = [
        plan.with_name(f"{plan.stem}-{name}.safetensors") if out is None else out for name in names
    ]
    for name, file in zip(names, files, strict=True):
        check_output_file(file)
        if name == QAT:
            check_output_folder(file.with_suffix(""))
    return files


def _settings(
    options: argparse.Namespace, names: Sequence[str], plan: Plan
) -> QuantizationSettings:
    learns = any(find_recipe(name).learns for name in names if name != QAT)
    if options.iterations is not None and not learns:
        raise QuantizationError(
            f"--iterations is for methods that learn rounding, not {', '.join(names)}"
        )
    quantizer = WeightQuantizer(per_channel=not options.per_tensor, scale_rule=options.scale_rule)
    return QuantizationSettings(
        quantizer,
        planned_activation_bits(plan, options.activation_bits),
        options.iterations,
        options.seed,
        options.activation_rule,
    )


def _training(options: argparse.Namespace, names: Sequence[str], plan: Plan) -> QatSettings:
    """Give the settings of training, whether it is asked for or not."""
    if QAT not in names:
        for option in ("recipe", "epochs"):
            if getattr(options, option) is not None:
                raise QuantizationError(f"--{option} is for the method {QAT}")
        return QatSettings()
    return method_settings(
        options.recipe,
        epochs=options.epochs,
        activation_bits=planned_activation_bits(plan, options.activation_bits),
        seed=options.seed,
    )


def _network(options: argparse.Namespace, plan: Plan) -> str:
    given: str | None = options.network
    name = given or plan.provenance.get("network")
    if name is None:
        raise QuantizationError(f"{options.plan} does not say its network: give --network")
    if given is None:
        refuse_code(name, QuantizationError, f"{options.plan} names the network", "--network")
    return name


def _quantize(
    method: Recipe,
    plan: Plan,
    inputs: EvaluationInputs,
    settings: QuantizationSettings,
    cache: Path | None,
) -> QuantizedModel:
    """Run a method under a progress bar."""
    if not method.learns:
        settings = replace(settings, iterations=None)
    with tqdm(
        file=sys.stderr,
        desc=method.name,
        unit="step",
        leave=False,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
    ) as bar:

        def show(name: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_postfix_str(name, refresh=False)
            bar.update(done - bar.n)

        return run_recipe(
            method,
            inputs.network.model,
            plan,
            inputs.calibration,
            settings,
            cache=cache,
            progress=show,
        )


def _saved_settings(
    settings: QuantizationSettings, method: Recipe, inputs: EvaluationInputs, seed: int
) -> dict[str, Any]:
    """Everything that decided the network, as plain values."""
    weights = inputs.network.weights
    return {
        **settings.document(),
        "iterations": (settings.iterations or method.iterations) if method.learns else 0,
        "calibration_images": len(inputs.calibration),
        "calibration_sha256": sha256_of([("images", inputs.calibration)]),
        "network": inputs.network.name,
        "weights_sha256": None if weights is None else file_sha256(weights),
        "seed": seed,
        "torch": torch.__version__,
    }


def _in_float(plan: Plan, inputs: EvaluationInputs) -> tuple[str, ...]:
    """Names of the network's weights that the plan leaves alone."""
    network = inputs.network
    quantized = [layer for layer in network.layers if layer.name in plan.widths]
    return kept_in_float(network.model, quantized)


def _notes(
    plan: Plan,
    inputs: EvaluationInputs,
    names: Sequence[str],
    training: QatSettings,
    settings: QuantizationSettings,
) -> list[str]:
    """Say where something is not as the plan has it."""
    network, notes = inputs.network, []
    if QAT in names:
        revised = trained_plan(plan, network.layers, training).provenance.get("revised")
        if revised is not None:
            notes.append(f"{QAT} does not keep to the plan: {revised}")
    given, counted = settings.activation_bits, plan.activation_bits
    if counted not in (None, given):
        notes.append(
            f"the plan counts its bit operations with inputs at {counted} bits, not {given}"
        )
    planned = plan.provenance.get("network", network.name)
    if planned != network.name:
        notes.append(f"the plan was made for {planned}")
    recorded = plan.provenance.get("weights_sha256")
    if recorded is not None and network.weights is not None:
        found = file_sha256(network.weights)
        if found != recorded:
            notes.append(
                f"the plan was made for other weights: sha256 {recorded[:12]}..., and those of "
                f"{network.weights} have {found[:12]}..."
            )
    return notes


make_callable(__name__, quantize)

if __name__ == "__main__":
    run_command(main)
