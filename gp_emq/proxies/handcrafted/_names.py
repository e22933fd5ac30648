"""What every hand-crafted proxy is called, what it looks at, and what it is in a line."""

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, tuple[str, str]] = {
    "sum_of_bits": ("size", "sum of the bit widths"),
    "bparams": ("size", "size of the quantized weights in bits"),
    "bops": ("size", "bit operations, at the protocol's fixed activation width"),
    "hawq": ("curvature", "top Hessian eigenvalue per parameter, times bits"),
    "hawq_perturbation": ("curvature", "top Hessian eigenvalue times the squared perturbation"),
    "hawq_v2": ("curvature", "mean Hessian trace times the squared perturbation"),
    "hessian_diagonal": ("curvature", "second-order change of the loss by the Hessian's diagonal"),
    "fit_trace": ("curvature", "mean Fisher trace times the squared perturbation"),
    "fit_diagonal": (
        "curvature",
        "Fisher diagonal times the squared perturbation, weight by weight",
    ),
    "snip": ("gradient", "mean connection sensitivity, times bits"),
    "plain": ("gradient", "mean of gradient times weight, times bits"),
    "grasp": ("gradient", "mean change of the gradient's norm by a weight, times bits"),
    "gradient_norm": ("gradient", "norm of the weight gradient, times bits"),
    "synflow": ("gradient", "mean synaptic flow, times bits"),
    "gradient_perturbation": ("gradient", "first-order change of the loss, weight by weight"),
    "fisher": ("gradient", "Fisher pruning's saliency of the channels, times bits"),
    "ompq": ("activation", "orthogonality of the layers' outputs, times bits"),
    "qe": ("activation", "entropy of the quantized layer's output"),
    "output_error": ("activation", "squared change of the layer's output on calibration images"),
    "relative_output_error": ("activation", "the same, relative to the squared output"),
    "output_divergence": (
        "activation",
        "KL divergence of the network's output, one entry quantized at a time",
    ),
    "loss_change": ("activation", "change of the loss, one entry quantized at a time"),
    "accuracy_change": (
        "activation",
        "change of the accuracy on calibration images, one entry quantized at a time",
    ),
    "relative_error": ("weight", "squared perturbation relative to the squared weight"),
    "sqnr": ("weight", "signal-to-quantization-noise ratio, as a logarithm"),
    "mse": ("weight", "mean squared perturbation"),
    "range": ("weight", "range of the weights, times bits"),
    "emq": ("evolved", "the formula that EMQ published"),
    "model_optimizer": (
        "gradient",
        "squared output gradient times squared change of the output, position by position",
    ),
    "auto_round": (
        "gradient",
        (
            "first-order change of the loss, weight by weight, with the gradient of the network "
            "that has all layers at the lowest width"
        ),
    ),
    "kl_gradient": (
        "gradient",
        (
            "first-order change of the divergence from the float outputs, with the gradient of "
            "the network that has all layers at the lowest width"
        ),
    ),
    "fisher_block": (
        "curvature",
        "second-order change of the loss by the whole empirical Fisher block of the entry",
    ),
    "swap_divergence": (
        "activation",
        "change of the output's divergence where the entry has the width, all others the lowest",
    ),
}
"""Family and description of each, those of papers by family, then those of tools."""

OF_PLANS: Mapping[str, tuple[str, str]] = {
    "clado": (
        "curvature",
        "second-order change of the loss, measured for every two entries at every two widths",
    ),
    "plan_divergence": (
        "activation",
        "divergence of the outputs of the network that is quantized by the whole configuration",
    ),
    "noised_divergence": (
        "activation",
        "the same on calibration images with noise on them, each four times",
    ),
}
"""Family and description of those that score whole configurations, and make no table."""

ALIASES: Mapping[str, str] = {"fit": "fit_trace"}
"""What papers call methods of which there are several."""
