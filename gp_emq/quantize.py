"""Quantize a network as a plan says: ``python -m gp_emq.quantize --plan plan.json``."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gp_emq import allocation, export, networks, ptq, qat, quantization, statistics
from gp_emq._progress import progress_bar, show
from gp_emq.cli._options import granularity_of
from gp_emq.cli._quantize import QAT, QuantizeSettings, read_quantize, with_planned_method
from gp_emq.command import make_callable, resumption, run_command
from gp_emq.errors import QuantizationError
from gp_emq.files import refuse_code
from gp_emq.outputs import check_output_file, check_output_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gp_emq.allocation import Plan
    from gp_emq.networks import Division, Network, Workload
    from gp_emq.ptq import QuantizationSettings, Report
    from gp_emq.qat import QatSettings
    from gp_emq.quantization import QuantizedModel
    from gp_emq.quantization.recipes import Recipe


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give 0, its exit status."""
    asked = read_quantize(arguments)
    plan = allocation.load_plan(asked.plan)
    asked = with_planned_method(asked, plan.provenance.get(allocation.METHOD))
    with resumption(lambda: _kept(asked)):
        report = _quantized(asked, plan)
    sys.stdout.write(report.as_json() if asked.format == "json" else report.as_text())
    return 0


def _kept(asked: QuantizeSettings) -> str:
    """Say how to go on after an interruption."""
    kept = ["learned rounding"] if asked.learns and not asked.no_cache else []
    kept += ["every complete epoch"] if QAT in asked.method else []
    if not kept:
        return ""
    return f"{' and '.join(kept)} is kept: the same command goes on from there"


def _quantized(asked: QuantizeSettings, plan: "Plan") -> "Report":
    if asked.method:
        _files(asked)
    settings, training = _settings(asked, plan), _training(asked, plan)
    name = None if asked.workload is not None else _network(asked, plan)
    inputs = networks.load_inputs(name, asked.weights, asked.data, workload=asked.workload)
    network = inputs.network
    if not asked.method:
        asked = replace(asked, method=(quantization.recipes.usual_method(network.model),))
    files = _files(asked)
    divided = inputs.divided(asked.images, asked.tests, asked.seed, seen=_seen(plan))
    test, groups = divided.test, divided.groups
    if asked.onnx is not None and not network.input_shape:
        raise QuantizationError(
            f"--onnx is for networks of one tensor of floats, as {network.name} does not take"
        )
    before = test.measured(test.batch).numpy()
    results = []
    for method, file in zip(asked.method, files, strict=True):
        quantized, made = _made(asked, method, plan, network, divided, file=file)
        after = test.of(quantized).measured(test.batch).numpy()
        results.append(
            ptq.MethodResult(
                method,
                ptq.measured(after, groups),
                ptq.change(before, after, groups),
                str(file),
                made.measures,
                file.stat().st_size,
            )
        )
    return ptq.Report(
        network=network.name,
        plan=plan,
        plan_file=str(asked.plan),
        calibration=len(divided.calibration),
        images=len(test),
        groups=groups,
        labelled=divided.labelled,
        floating=ptq.measured(before, groups),
        results=results,
        in_float=_in_float(plan, network, divided.calibration),
        notes=[
            *_notes(plan, network, asked, training, settings),
            *filter(None, [inputs.remark]),
            *_of_statistics(asked, divided, before),
        ],
        float_bytes=export.float_bytes(network.model),
        metric=test.metric.name,
        higher_is_better=test.metric.higher_is_better,
        sample="image" if asked.workload is None else "sample",
    )


def _made(
    asked: QuantizeSettings,
    name: str,
    plan: "Plan",
    network: "Network",
    divided: "Division",
    *,
    file: Path,
) -> "tuple[QuantizedModel, Plan]":
    """Quantize by one method, write the files, and give the network and the plan it keeps to."""
    settings = _settings(asked, plan)
    cache = None if asked.no_cache else statistics.default_cache()
    method = quantization.recipes.find_recipe("rtn" if name == QAT else name)
    quantized = _quantize(method, plan, divided, settings, cache)
    saved = _saved_settings(settings, method, network, divided) | {"seed": asked.seed}
    made = plan
    if name == QAT:
        training = _training(asked, plan)
        made = qat.trained_plan(plan, network.layers, training)
        quantized = qat.train_plan(
            made,
            network,
            quantized,
            data=asked.data,
            settings=training,
            folder=file.with_suffix(""),
            quiet=not sys.stderr.isatty(),
        )
        saved |= {"training": training.decisive()}
    export.save_quantized(quantized, file, method=name, settings=saved, plan=made)
    sys.stderr.write(f"wrote {file}\n")
    export.export_files(
        quantized,
        network,
        {"method": name, "network": network.name, "plan": allocation.plan_document(made)},
        packed=asked.packed,
        onnx=asked.onnx,
    )
    return quantized, made


def _of_statistics(
    asked: QuantizeSettings, divided: "Division", before: "NDArray[Any]"
) -> list[str]:
    """Say where re-estimating batch norms alone makes the float network worse."""
    if "rtn+bn" not in asked.method:
        return []
    test, norms = divided.test, ptq.with_own_statistics(divided.calibration)
    lost = ptq.change(before, test.of(norms).measured(test.batch).numpy(), divided.groups)
    return ptq.told_of_statistics(lost, test.metric)


def _seen(plan: "Plan") -> int:
    """Return how many samples chose the plan, where it was measured."""
    text = plan.provenance.get("seen", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _files(asked: QuantizeSettings) -> list[Path]:
    """Say where each method's network goes, before anything is computed."""
    if asked.onnx is not None:
        export.require_onnx()
    files = [
        asked.out or asked.plan.with_name(f"{asked.plan.stem}-{name}.safetensors")
        for name in asked.method
    ]
    for name, file in zip(asked.method, files, strict=True):
        check_output_file(file)
        if name == QAT:
            check_output_folder(file.with_suffix(""))
    return files


def _settings(asked: QuantizeSettings, plan: "Plan") -> "QuantizationSettings":
    given = granularity_of(per_tensor=asked.per_tensor, scale_group=asked.scale_group)
    granularity = ptq.planned_granularity(plan, given)
    return ptq.QuantizationSettings(
        quantization.WeightQuantizer.of(granularity, scale_rule=asked.scale_rule),
        ptq.planned_activation_bits(plan, asked.activation_bits),
        asked.iterations,
        asked.seed,
        asked.activation_rule,
    )


def _training(asked: QuantizeSettings, plan: "Plan") -> "QatSettings":
    """Give the settings of training, whether it is asked for or not."""
    if QAT not in asked.method:
        return qat.QatSettings()
    return qat.method_settings(
        asked.recipe,
        epochs=asked.epochs,
        activation_bits=ptq.planned_activation_bits(plan, asked.activation_bits),
        seed=asked.seed,
    )


def _network(asked: QuantizeSettings, plan: "Plan") -> str:
    name = asked.network or plan.provenance.get("network")
    if name is None:
        raise QuantizationError(
            f"{asked.plan} does not say its network: give --network or --workload"
        )
    if asked.network is None:
        refuse_code(
            name, QuantizationError, f"{asked.plan} names the network", "--network or --workload"
        )
    return name


def _quantize(
    method: "Recipe",
    plan: "Plan",
    divided: "Division",
    settings: "QuantizationSettings",
    cache: Path | None,
) -> "QuantizedModel":
    """Run a method under a progress bar."""
    if not method.learns:
        settings = replace(settings, iterations=None)
    with progress_bar(method.name, "step") as bar:
        return ptq.run_recipe(
            method,
            divided.calibration,
            plan,
            None,
            settings,
            cache=cache,
            progress=lambda name, done, total: show(bar, done, total, name),
        )


def _saved_settings(
    settings: "QuantizationSettings", method: "Recipe", network: "Network", divided: "Division"
) -> dict[str, Any]:
    """Everything that decided the network, as plain values."""
    import torch  # noqa: PLC0415 - slow to import

    weights, samples = network.weights, divided.calibration.samples
    return {
        **settings.document(),
        "iterations": (settings.iterations or method.iterations) if method.learns else 0,
        "calibration_images": len(divided.calibration),
        "calibration_sha256": statistics.sha256_of(networks.tensors_of(samples, "images")),
        "network": network.name,
        "weights_sha256": None if weights is None else networks.file_sha256(weights),
        "torch": torch.__version__,
    }


def _in_float(plan: "Plan", network: "Network", samples: "Workload") -> dict[str, str]:
    """Say which of the network's weights the plan leaves alone, and why."""
    widths = networks.with_shared_embeddings(network.layers, plan.widths)
    quantized = [layer for layer in network.layers if layer.name in widths]
    others = [layer for layer in network.layers if layer.name not in widths]
    return allocation.kept_in_float(samples, quantized, others)


def _notes(
    plan: "Plan",
    network: "Network",
    asked: QuantizeSettings,
    training: "QatSettings",
    settings: "QuantizationSettings",
) -> list[str]:
    """Say where something is not as the plan has it."""
    notes = []
    if QAT in asked.method:
        revised = qat.trained_plan(plan, network.layers, training).provenance.get("revised")
        if revised is not None:
            notes.append(f"{QAT} does not keep to the plan: {revised}")
    given, counted = settings.activation_bits, plan.activation_bits
    if counted not in (None, given):
        notes.append(
            f"the plan counts its bit operations with inputs at {counted} bits, not {given}"
        )
    granularity = settings.weights.granularity
    if granularity != plan.granularity and (granularity.group or plan.scale_group):
        notes.append(
            f"the plan counts stored sizes with scales per {plan.granularity}, not {granularity}"
        )
    planned = plan.provenance.get("network", network.name)
    if planned != network.name:
        notes.append(f"the plan was made for {planned}")
    recorded = plan.provenance.get("weights_sha256")
    if recorded is not None and network.weights is not None:
        found = networks.file_sha256(network.weights)
        if found != recorded:
            notes.append(
                f"the plan was made for other weights: sha256 {recorded[:12]}..., and those of "
                f"{network.weights} have {found[:12]}..."
            )
    return notes


make_callable(__name__, "gp_emq.ptq")

if __name__ == "__main__":
    run_command(main)
