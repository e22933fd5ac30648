"""Evolving proxies: individuals, variation, screening, selection, and the loop over them.

A `Search` is asked for `Proposal`s, which are evaluated into tables, and told what they came to: an
`Objective` measures those that pass the screen, the `Archive` remembers everyone, and selection
makes the next population of `Individual`s.
"""

from gp_emq.evolution._archive import Archive
from gp_emq.evolution._generation import generate
from gp_emq.evolution._individual import Fitness, Individual
from gp_emq.evolution._objective import (
    FloatArray,
    Measurement,
    Objective,
    Tables,
    centred,
    paired_standard_error,
)
from gp_emq.evolution._prioritisation import Prioritisation
from gp_emq.evolution._probe import Probe
from gp_emq.evolution._proposal import Proposal
from gp_emq.evolution._reasons import INVALID
from gp_emq.evolution._screening import StructureScreen, TableScreen, depth_of
from gp_emq.evolution._search import Search
from gp_emq.evolution._selection import SELECTIONS, Selection, diversity, make_selection
from gp_emq.evolution._settings import SearchSettings
from gp_emq.evolution._tables import Outcome, TableJob
from gp_emq.evolution._variation import MUTATIONS, cx_one_point, mutate

__all__ = [
    "INVALID",
    "MUTATIONS",
    "SELECTIONS",
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
