from ._canonical import canonical_form, simplified
from ._evaluator import DEFAULT_CACHE_BYTES, Evaluator, TreeError
from ._expression import Node, parse_expression, to_expression
from ._formula import to_formula
from ._language import language
from ._memory import DEFAULT_MEMORY
from ._scores import configuration_scores
from ._sharing import share_expressions
from ._table import SensitivityTable

__all__ = [
    "DEFAULT_CACHE_BYTES",
    "DEFAULT_MEMORY",
    "Evaluator",
    "Node",
    "SensitivityTable",
    "TreeError",
    "canonical_form",
    "configuration_scores",
    "language",
    "parse_expression",
    "share_expressions",
    "simplified",
    "to_expression",
    "to_formula",
]
