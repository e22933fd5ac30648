"""Farming work out to processes, so that results never depend on who did it."""

from gp_emq.farm._devices import choose_devices
from gp_emq.farm._farm import Farm
from gp_emq.farm._flags import add_farm_options, farm_settings
from gp_emq.farm._job import Job
from gp_emq.farm._settings import BACKENDS, FarmSettings

__all__ = [
    "BACKENDS",
    "Farm",
    "FarmSettings",
    "Job",
    "add_farm_options",
    "choose_devices",
    "farm_settings",
]
