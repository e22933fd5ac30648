"""The peer's part, run by a Python that has the peer, as a script with a folder.

It has `request.json` and `images.npz`, and gets `plans.json`: for each size the width of
every layer and the processor seconds that planning took, or one line about why there is no plan.
"""

import copy
import importlib
import importlib.metadata
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gp_emq.networks import Network, load_network
from gp_emq.networks._torchvision import import_torchvision

REQUEST, IMAGES, PLANS = "request.json", "images.npz", "plans.json"
LOSSES = 1e3
"""Factor of the loss. Model-Optimizer's scores are squares of gradients, and its solver takes those
of a trained network, 1e-6 and less, for equal: it stops at plans far below the budget."""

Widths = dict[str, int]
Batches = list[tuple[Tensor, Tensor]]


def modelopt_widths(
    network: Network, batches: Batches, bits: Sequence[int], average: float
) -> Widths:
    """Plan by Model-Optimizer's `auto_quantize`, by the gradient of the loss on labels.

    Args:
        network: What is planned.
        batches: Images and labels.
        bits: The widths.
        average: Most bits of a weight on average.
    """
    library = importlib.import_module("modelopt.torch.quantization")
    formats = [_format(width) for width in bits]
    _, state = library.auto_quantize(
        copy.deepcopy(network.model),
        constraints={"effective_bits": average},
        quantization_formats=formats,
        data_loader=batches,
        forward_step=lambda model, batch: model(batch[0]),
        loss_func=lambda output, batch: LOSSES * nn.functional.cross_entropy(output, batch[1]),
        num_calib_steps=len(batches),
        num_score_steps=len(batches),
        # Without this a layer may stay in float, which counts 16 bits.
        module_search_spaces=[
            {
                "module_name_patterns": ["*"],
                "quantization_formats": formats,
                "allow_no_quant": False,
            }
        ],
    )
    if not state["best"]["is_satisfied"]:
        raise ValueError(f"auto_quantize does not meet {average:g} bits on average")
    return {
        module: _width(recipe)
        for name, recipe in state["best"]["recipe"].items()
        for module in state["candidate_stats"][name]["module_names"]
    }


def _format(width: int) -> dict[str, Any]:
    """Give the settings of Model-Optimizer for weights alone, with a scale for each channel."""
    weight = {"quantizer_name": "*weight_quantizer", "cfg": {"num_bits": width, "axis": 0}}
    return {"quant_cfg": [{"quantizer_name": "*", "enable": False}, weight], "algorithm": "max"}


def _width(recipe: Any) -> int:
    """Read the width of weights out of a recipe of Model-Optimizer."""
    width = round(16 * float(recipe.compression))
    if not math.isclose(width, 16 * float(recipe.compression)):
        raise ValueError(f"the recipe {recipe} is of no whole width")
    return width


def toolkit_widths(
    network: Network, batches: Batches, bits: Sequence[int], average: float
) -> Widths:
    """Plan by the mixed precision of Sony's model-compression-toolkit, with its own settings.

    Args:
        network: What is planned.
        batches: Images and labels; it takes no labels.
        bits: The widths.
        average: Most bits of a weight on average.
    """
    library = importlib.import_module("model_compression_toolkit")
    wrapper = importlib.import_module("mct_quantizers").PytorchQuantizationWrapper

    def images() -> Iterator[list[NDArray[np.float32]]]:
        for part, _ in batches:
            yield [part.numpy()]

    elements = sum(math.prod(layer.weight_shape) for layer in network.layers)
    model, _ = library.ptq.pytorch_post_training_quantization(
        copy.deepcopy(network.model),
        images,
        target_resource_utilization=library.core.ResourceUtilization(
            weights_memory=elements * average / 8
        ),
        core_config=library.core.CoreConfig(
            mixed_precision_config=library.core.MixedPrecisionQuantizationConfig()
        ),
        target_platform_capabilities=_platform(bits),
    )
    names = {layer.name.replace(".", "_"): layer.name for layer in network.layers}
    widths = {}
    for name, module in model.named_modules():
        if isinstance(module, wrapper):
            (quantizer,) = module.weights_quantizers.values()
            widths[names[name.removesuffix("_bn")]] = int(quantizer.num_bits)
    return widths


def _platform(bits: Sequence[int]) -> Any:
    """Describe to the toolkit a platform that has some widths of weights, and float activations."""
    package = "model_compression_toolkit.target_platform_capabilities"
    known = importlib.import_module(f"{package}.tpc_models.imx500_tpc.v1_0.tpc")
    kernel = importlib.import_module(f"{package}.constants").KERNEL_ATTR
    base, _, default = known.get_op_quantization_configs()
    base, default = (
        config.clone_and_edit(enable_activation_quantization=False, simd_size=1)
        for config in (base, default)
    )
    candidates = [
        base.clone_and_edit(attr_to_edit={kernel: {"weights_n_bits": width}})
        for width in sorted(bits, reverse=True)
    ]
    return known.generate_tpc(default, candidates[0], candidates, "weights")


PEERS: dict[str, tuple[str, str, Callable[..., Widths]]] = {
    "Model-Optimizer": ("nvidia-modelopt", "modelopt.torch.quantization", modelopt_widths),
    "model-compression-toolkit": (
        "model-compression-toolkit", "model_compression_toolkit", toolkit_widths,
    ),
}  # fmt: skip
"""Distribution, module and planner of each peer."""


def answer(folder: Path) -> dict[str, Any]:
    """Plan as a folder asks, and say what came of it."""
    asked = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    distribution, module, planner = PEERS[asked["peer"]]
    with np.load(folder / IMAGES, allow_pickle=False) as arrays:
        images, labels = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    batch = asked["batch"]
    batches = [
        (images[first : first + batch], labels[first : first + batch])
        for first in range(0, len(images), batch)
    ]
    found: dict[str, Any] = {"plans": []}
    try:
        import_torchvision()
        importlib.import_module(module)
        found["version"] = importlib.metadata.version(distribution)
        network = load_network(asked["network"])
        for average in asked["averages"]:
            start = time.process_time()
            widths = planner(network, batches, asked["bits"], average)
            seconds = time.process_time() - start
            found["plans"].append({"average": average, "widths": widths, "seconds": seconds})
    except ModuleNotFoundError as error:
        found["error"] = f"{error}: pip install gp_emq[peers] brings what {asked['peer']} imports"
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is reported
        found["error"] = " ".join(f"{type(error).__name__}: {error}".split())
    return found


def main(arguments: Sequence[str]) -> None:
    """Answer what a folder asks."""
    torch.set_num_threads(1)
    folder = Path(arguments[0])
    (folder / PLANS).write_text(json.dumps(answer(folder)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
