"""Evolving proxies: individuals, variation, screening, selection, and the loop over them."""

from gp_emq.evolution._archive import Archive, TableIndex
from gp_emq.evolution._breeding import Breeder, Draft
from gp_emq.evolution._fitness import KendallFitness, centred, paired_standard_error
from gp_emq.evolution._generation import generate
from gp_emq.evolution._individual import Fitness, Individual, Measurement
from gp_emq.evolution._prioritisation import Prioritisation
from gp_emq.evolution._probe import Probe
from gp_emq.evolution._reasons import INVALID
from gp_emq.evolution._screening import StructureScreen, TableScreen, depth_of
from gp_emq.evolution._search import Search, Step
from gp_emq.evolution._selection import SELECTIONS, Selection, diversity, make_selection
from gp_emq.evolution._settings import SearchSettings
from gp_emq.evolution._tables import Outcome, TableJob
from gp_emq.evolution._variation import MUTATIONS, cx_one_point, mutate

__all__ = [
    "INVALID",
    "MUTATIONS",
    "SELECTIONS",
    "Archive",
    "Breeder",
    "Draft",
    "Fitness",
    "Individual",
    "KendallFitness",
    "Measurement",
    "Outcome",
    "Prioritisation",
    "Probe",
    "Search",
    "SearchSettings",
    "Selection",
    "Step",
    "StructureScreen",
    "TableIndex",
    "TableJob",
    "TableScreen",
    "centred",
    "cx_one_point",
    "depth_of",
    "diversity",
    "generate",
    "make_selection",
    "mutate",
    "paired_standard_error",
]
