from ._configuration import FITNESSES, WITHOUT_A_BENCH, Execution, RunConfiguration
from ._experiment import how_to_resume, run
from ._found import Formula, Result
from ._python import search
from ._setting import load_setting

__all__ = [
    "FITNESSES",
    "WITHOUT_A_BENCH",
    "Execution",
    "Formula",
    "Result",
    "RunConfiguration",
    "how_to_resume",
    "load_setting",
    "run",
    "search",
]
