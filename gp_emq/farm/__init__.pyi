from ._devices import choose_devices
from ._farm import Farm
from ._flags import add_farm_options, farm_settings
from ._job import Job
from ._settings import BACKENDS, FarmSettings

__all__ = [
    "BACKENDS",
    "Farm",
    "FarmSettings",
    "Job",
    "add_farm_options",
    "choose_devices",
    "farm_settings",
]
