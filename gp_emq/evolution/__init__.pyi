from ._archive import Archive
from ._generation import generate
from ._individual import Fitness, Individual
from ._objective import (
    FloatArray,
    Measurement,
    Objective,
    Tables,
    centred,
    paired_standard_error,
)
from ._prioritisation import Prioritisation
from ._probe import Probe
from ._proposal import Proposal
from ._reasons import INVALID
from ._screening import StructureScreen, TableScreen, depth_of
from ._search import Search
from ._selection import SELECTIONS, Selection, diversity, make_selection
from ._settings import SELECTION_NAMES, SearchSettings
from ._tables import Outcome, TableJob
from ._variation import MUTATIONS, cx_one_point, mutate

__all__ = [
    "INVALID",
    "MUTATIONS",
    "SELECTIONS",
    "SELECTION_NAMES",
    "Archive",
    "Fitness",
    "FloatArray",
    "Individual",
    "Measurement",
    "Objective",
    "Outcome",
    "Prioritisation",
    "Probe",
    "Proposal",
    "Search",
    "SearchSettings",
    "Selection",
    "StructureScreen",
    "TableJob",
    "TableScreen",
    "Tables",
    "centred",
    "cx_one_point",
    "depth_of",
    "diversity",
    "generate",
    "make_selection",
    "mutate",
    "paired_standard_error",
]
