from . import handcrafted, loading
from ._canonical import simplified
from ._constants import Site, constant_sites, with_constants
from ._evaluator import DEFAULT_CACHE_BYTES, Evaluator, TreeError
from ._expression import Node, parse_expression, to_expression
from ._forms import ALIGNED, AS_PUBLISHED, EVOLVED, FORMS
from ._formula import to_formula
from ._inputs import ProxyInputs
from ._language import language
from ._memory import DEFAULT_MEMORY
from ._plan_proxy import PlanProxy
from ._proxy import Proxy
from ._scale import depends_on_scale
from ._scores import configuration_scores
from ._sharing import share_expressions
from ._table import SensitivityTable

__all__ = [
    "ALIGNED",
    "AS_PUBLISHED",
    "DEFAULT_CACHE_BYTES",
    "DEFAULT_MEMORY",
    "EVOLVED",
    "FORMS",
    "Evaluator",
    "Node",
    "PlanProxy",
    "Proxy",
    "ProxyInputs",
    "SensitivityTable",
    "Site",
    "TreeError",
    "configuration_scores",
    "constant_sites",
    "depends_on_scale",
    "handcrafted",
    "language",
    "loading",
    "parse_expression",
    "share_expressions",
    "simplified",
    "to_expression",
    "to_formula",
    "with_constants",
]
