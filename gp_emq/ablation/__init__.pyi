from ._carry_out import Outcome, carry_out_study
from ._study import read_study
from ._table import Comparison, comparisons, notes_of, rows_of, table_lines

__all__ = [
    "Comparison",
    "Outcome",
    "carry_out_study",
    "comparisons",
    "notes_of",
    "read_study",
    "rows_of",
    "table_lines",
]
