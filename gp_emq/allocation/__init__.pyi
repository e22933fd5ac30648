from ._activations import activation_peak, activation_target
from ._allocate import allocate, replanned, solve
from ._baselines import (
    draw_within,
    proxy_baseline,
    random_baseline,
    uniform_baseline,
    uniform_configuration,
)
from ._budgets import BIT_OPERATIONS, FILE_SIZE, CostTable, make_budgets
from ._costs import Budget, CostSettings
from ._front import best_within
from ._groups import grouped_layers, grouped_table
from ._in_float import kept_in_float
from ._latency import (
    LatencyTable,
    LayerLatency,
    WholeLatency,
    load_latencies,
    save_latencies,
)
from ._measures import Measures, Meter
from ._names import AXES, BASELINES, BITS, CALIBRATION_IMAGES, METHOD, WITHOUT_SCORES
from ._pick import picked_budget
from ._plan import Baseline, Plan, Target
from ._plan_file import load_plan, plan_document, plan_from, save_plan
from ._plan_formats import check_modelopt, check_torchao, modelopt_config, plan_csv, torchao_config
from ._problem import Problem
from ._quadratic import best_with_pairs
from ._reasons import told_reasons
from ._revised import revised_plan
from ._scored import ScoredNetwork
from ._space import FLOAT_BITS, Configuration, Space, search_space
from ._sweep import Sweep, axis_costs, sweep
from ._sweep_file import load_sweep, save_sweep
from ._table_file import load_table, save_table
from ._text import format_plan, format_sweep

__all__ = [
    "AXES",
    "BASELINES",
    "BITS",
    "BIT_OPERATIONS",
    "CALIBRATION_IMAGES",
    "FILE_SIZE",
    "FLOAT_BITS",
    "METHOD",
    "WITHOUT_SCORES",
    "Baseline",
    "Budget",
    "Configuration",
    "CostSettings",
    "CostTable",
    "LatencyTable",
    "LayerLatency",
    "Measures",
    "Meter",
    "Plan",
    "Problem",
    "ScoredNetwork",
    "Space",
    "Sweep",
    "Target",
    "WholeLatency",
    "activation_peak",
    "activation_target",
    "allocate",
    "axis_costs",
    "best_with_pairs",
    "best_within",
    "check_modelopt",
    "check_torchao",
    "draw_within",
    "format_plan",
    "format_sweep",
    "grouped_layers",
    "grouped_table",
    "kept_in_float",
    "load_latencies",
    "load_plan",
    "load_sweep",
    "load_table",
    "make_budgets",
    "modelopt_config",
    "picked_budget",
    "plan_csv",
    "plan_document",
    "plan_from",
    "proxy_baseline",
    "random_baseline",
    "replanned",
    "revised_plan",
    "save_latencies",
    "save_plan",
    "save_sweep",
    "save_table",
    "search_space",
    "solve",
    "sweep",
    "told_reasons",
    "torchao_config",
    "uniform_baseline",
    "uniform_configuration",
]
