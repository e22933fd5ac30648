"""What quantizers may be asked for."""

MIN_BITS = 2
MAX_BITS = 8

SCALE_RULES = ("mse", "minmax", "percentile", "mse-shrunk")
"""How scales of weights are chosen, see `choose_parameters`."""

ROBUST = "robust"
INPUT_RULES = ("minmax", ROBUST, "percentile", "mse")
"""How grids of inputs are chosen, see `ActivationQuantizer`."""
