from ._archive import Archive
from ._individual import Individual
from ._objective import FloatArray, Measurement, Objective, Tables, centred
from ._proposal import Proposal
from ._search import Search
from ._selection import make_selection
from ._settings import SELECTION_NAMES, SearchSettings
from ._tables import Outcome, TableJob

__all__ = [
    "SELECTION_NAMES",
    "Archive",
    "FloatArray",
    "Individual",
    "Measurement",
    "Objective",
    "Outcome",
    "Proposal",
    "Search",
    "SearchSettings",
    "TableJob",
    "Tables",
    "centred",
    "make_selection",
]
