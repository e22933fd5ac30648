from ._devices import choose_devices
from ._farm import Farm
from ._job import Job
from ._settings import BACKENDS, FarmSettings

__all__ = [
    "BACKENDS",
    "Farm",
    "FarmSettings",
    "Job",
    "choose_devices",
]
