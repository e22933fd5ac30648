"""Evolving training-free proxies for mixed-precision quantization, on DEAP."""

import importlib
import os
from typing import TYPE_CHECKING, Any

from gp_emq._signals import guard_imports, is_command

if TYPE_CHECKING:
    from gp_emq.allocation import allocate, load_plan
    from gp_emq.experiment import search
    from gp_emq.export import load_quantized, save_quantized
    from gp_emq.measured import best_plan
    from gp_emq.networks import Metric, Workload
    from gp_emq.proxies import SensitivityTable
    from gp_emq.proxies.loading import load_proxy
    from gp_emq.ptq import quantize
    from gp_emq.statistics import collect_statistics

__version__ = "0.1.0"

__all__ = [
    "Metric",
    "SensitivityTable",
    "Workload",
    "__version__",
    "allocate",
    "best_plan",
    "collect_statistics",
    "load_plan",
    "load_proxy",
    "load_quantized",
    "quantize",
    "save_quantized",
    "search",
]

_HOMES = {
    "Metric": "gp_emq.networks",
    "SensitivityTable": "gp_emq.proxies",
    "Workload": "gp_emq.networks",
    "allocate": "gp_emq.allocation",
    "best_plan": "gp_emq.measured",
    "collect_statistics": "gp_emq.statistics",
    "load_plan": "gp_emq.allocation",
    "load_proxy": "gp_emq.proxies.loading",
    "load_quantized": "gp_emq.export",
    "quantize": "gp_emq.ptq",
    "save_quantized": "gp_emq.export",
    "search": "gp_emq.experiment",
}
"""Where the public names are from; torch is slow to import, so nothing is before it is used."""


_PACKAGES = frozenset(
    {
        "allocation", "errors", "export", "measured", "mqbench", "networks", "proxies", "ptq",
        "qat", "quantization", "ranking", "statistics", "store",
    }
)  # fmt: skip
"""What `import gp_emq` alone makes reachable, as in `gp_emq.networks.find_layers`."""

# Of a command, this package is what is imported first, and what comes after it takes seconds.
if is_command():
    guard_imports()
    # Commands draw into files alone, whatever windows a shell asks matplotlib for.
    os.environ["MPLBACKEND"] = "agg"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
