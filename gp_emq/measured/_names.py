"""Names and numbers that the options of commands need."""

DIVERGENCE, LOSS = "divergence", "loss"
LOSSES = (DIVERGENCE, LOSS)
"""What is measured: how far outputs are from the float network's, or the workload's own loss."""
NEIGHBOURS, ALL_PAIRS = "neighbours", "all"
REACHES = (NEIGHBOURS, ALL_PAIRS)
"""Which pairs of entries are measured: those next to each other in forward order, or all."""
HELD_BACK = 1024
"""Images to measure on, unless another number is asked for."""
LEAST_PLANS = 4
"""Plans that calibrate a table at least: with fewer, leaving one out says nothing."""
CONTENDERS = (
    "gp-views", "gp-gradient", "gp-divergence", "fit_diagonal", "fit_trace", "model_optimizer",
)  # fmt: skip
"""Proxies whose plans race where none is asked for: of ten, the six whose race comes to most."""
ONE_WIDTH = "one width"
"""What races beside the plans of proxies: the widest width that fits, everywhere."""
PAIRED = {
    "gp-gradient": "add(multiply(curvature_form, min_max(channel_output_residual)), "
    "sqrt(gradient_output_change))",
    "fit_diagonal": "sum(multiply(fisher_diagonal, square(quantization_perturbation)))",
    "fit_trace": "multiply(mean(fisher_diagonal), sum(square(quantization_perturbation)))",
    "model_optimizer": "gradient_output_change",
    "recipe_divergence": "recipe_divergence",
    "recipe_divergence_low": "recipe_divergence_low",
}
"""Harms whose sums of two race with them: those that the proxies above are made of."""
