"""Farming work out to processes, so that results never depend on who did it."""

from gp_emq.farm._farm import Farm
from gp_emq.farm._job import Job
from gp_emq.farm._settings import BACKENDS, FarmSettings

__all__ = ["BACKENDS", "Farm", "FarmSettings", "Job"]
