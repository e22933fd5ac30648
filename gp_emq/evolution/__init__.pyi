from ._archive import Archive
from ._individual import Individual
from ._layout import share_items
from ._objective import (
    Details,
    Figures,
    FloatArray,
    Measurement,
    Objective,
    ObjectiveOfParts,
    Tables,
    centred,
)
from ._proposal import Proposal
from ._search import Search
from ._selection import make_selection
from ._settings import SELECTION_NAMES, SearchSettings
from ._tables import Outcome, TableItem, TableJob, Tabulation

__all__ = [
    "SELECTION_NAMES",
    "Archive",
    "Details",
    "Figures",
    "FloatArray",
    "Individual",
    "Measurement",
    "Objective",
    "ObjectiveOfParts",
    "Outcome",
    "Proposal",
    "Search",
    "SearchSettings",
    "TableItem",
    "TableJob",
    "Tables",
    "Tabulation",
    "centred",
    "make_selection",
    "share_items",
]
