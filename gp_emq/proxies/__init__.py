"""Proxies: formulas over a network's statistics, and what they say of its bit configurations."""

from gp_emq.proxies._canonical import canonical_form, simplified
from gp_emq.proxies._evaluator import DEFAULT_CACHE_BYTES, DEFAULT_MEMORY, Evaluator, TreeError
from gp_emq.proxies._expression import Node, parse_expression, to_expression
from gp_emq.proxies._formula import to_formula
from gp_emq.proxies._inputs import ProxyInputs
from gp_emq.proxies._language import language
from gp_emq.proxies._proxy import ALIGNED, AS_PUBLISHED, FORMS, Proxy
from gp_emq.proxies._scale import depends_on_scale
from gp_emq.proxies._scores import configuration_scores
from gp_emq.proxies._sharing import share_expressions
from gp_emq.proxies._table import SensitivityTable

__all__ = [
    "ALIGNED",
    "AS_PUBLISHED",
    "DEFAULT_CACHE_BYTES",
    "DEFAULT_MEMORY",
    "FORMS",
    "Evaluator",
    "Node",
    "Proxy",
    "ProxyInputs",
    "SensitivityTable",
    "TreeError",
    "canonical_form",
    "configuration_scores",
    "depends_on_scale",
    "language",
    "parse_expression",
    "share_expressions",
    "simplified",
    "to_expression",
    "to_formula",
]
