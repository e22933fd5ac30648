from ._devices import choose_devices
from ._farm import Farm
from ._job import Job
from ._layout import lay_out
from ._settings import BACKENDS, FarmSettings

__all__ = [
    "BACKENDS",
    "Farm",
    "FarmSettings",
    "Job",
    "choose_devices",
    "lay_out",
]
