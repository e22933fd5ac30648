"""The one place that imports torchvision.

The torchvision wheel of the Python package index is built for CUDA. Beside a torch for
processors alone its import stops with `operator torchvision::nms does not exist`, because
the library that declares the operators does not load. Nothing here needs those operators,
so they are declared without an implementation and the import is tried again. An install
that imports at once is left as it is.
"""

import importlib
import sys
from types import ModuleType

import torch

from gp_emq.errors import NetworkError

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A library's declarations end with the object that made them.
_declarations: list[torch.library.Library] = []


def import_torchvision(submodule: str = "models") -> ModuleType:
    """Import a submodule of torchvision, mending the import where it needs it.

    Args:
        submodule: such as `"models"`, `"datasets"` or `"transforms"`.

    Raises:
        NetworkError: if torchvision is not installed or does not import.
    """
    name = f"torchvision.{submodule}"
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if "nms does not exist" not in str(error):
            raise NetworkError(f"torchvision does not import: {error}") from error
    except ImportError as error:
        raise NetworkError(
            f"torchvision does not import: {error}; install the torchvision that fits torch "
            f"{torch.__version__}"
        ) from error
    for loaded in [key for key in sys.modules if key.partition(".")[0] == "torchvision"]:
        del sys.modules[loaded]
    if not _declarations:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            library.define(schema)  # type: ignore[no-untyped-call]
        _declarations.append(library)
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        raise NetworkError(f"torchvision does not import: {error}") from error
