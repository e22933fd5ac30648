"""The hand-crafted proxies that are formulas over statistics, as expressions.

Saliencies of single weights are averaged over a layer in the aligned form, since bits are
spent per weight; the public scripts add them up, which mostly ranks layers by their size.
"""

import math

from gp_emq.proxies._proxy import Proxy
from gp_emq.proxies.handcrafted._emq import emq

_PERTURBATION_ENERGY = "sum(square(quantization_perturbation))"
_FLOAT_RATIO = 2 * 24 * math.log(2)
"""Signal-to-noise ratio of float32, as a logarithm: what is unchanged may be that far off."""
_ABDELFATTAH = "Abdelfattah et al., Zero-cost proxies for lightweight NAS, 2021"

SIZE: tuple[Proxy, ...] = (
    Proxy(
        "sum_of_bits",
        "size",
        "sum of the bit widths",
        "Σ b",
        "baseline",
        "bits",
    ),
    Proxy(
        "bparams",
        "size",
        "size of the quantized weights in bits",
        "n·b",
        "baseline",
        "multiply(parameter_count, bits)",
    ),
    Proxy(
        "bops",
        "size",
        "bit operations, at the protocol's fixed activation width",
        "m·b",
        "baseline",
        "multiply(macs, bits)",
    ),
)

CURVATURE: tuple[Proxy, ...] = (
    Proxy(
        "hawq",
        "curvature",
        "top Hessian eigenvalue per parameter, times bits",
        "λ/n·b",
        "Dong et al., HAWQ: Hessian aware quantization of neural networks, 2019",
        "times_bits(divide(hessian_top_eigenvalue, parameter_count))",
        "times_bits(hessian_top_eigenvalue)",
    ),
    Proxy(
        "hawq_perturbation",
        "curvature",
        "top Hessian eigenvalue times the squared perturbation",
        "−λ·‖ΔW‖²",
        "Dong et al., HAWQ: Hessian aware quantization of neural networks, 2019",
        f"negate(multiply(hessian_top_eigenvalue, {_PERTURBATION_ENERGY}))",
    ),
    Proxy(
        "hawq_v2",
        "curvature",
        "mean Hessian trace times the squared perturbation",
        "−tr(H)/n·‖ΔW‖²",
        "Dong et al., HAWQ-V2: Hessian aware trace-weighted quantization, 2020",
        f"negate(multiply(mean(hessian_diagonal), {_PERTURBATION_ENERGY}))",
        "times_bits(hessian_trace)",
    ),
    Proxy(
        "hessian_diagonal",
        "curvature",
        "second-order change of the loss by the Hessian's diagonal",
        "−Σ diag(H)·ΔW²",
        "LeCun et al., Optimal brain damage, 1989",
        "negate(sum(multiply(hessian_diagonal, square(quantization_perturbation))))",
        "times_bits(mean(hessian_diagonal))",
    ),
    Proxy(
        "fit_trace",
        "curvature",
        "mean Fisher trace times the squared perturbation",
        "−tr(F)/n·‖ΔW‖²",
        "Zandonati et al., FIT: a metric for model sensitivity, 2022",
        f"negate(multiply(mean(fisher_diagonal), {_PERTURBATION_ENERGY}))",
    ),
    Proxy(
        "fit_diagonal",
        "curvature",
        "Fisher diagonal times the squared perturbation, weight by weight",
        "−Σ diag(F)·ΔW²",
        "Zandonati et al., FIT: a metric for model sensitivity, 2022",
        "negate(sum(multiply(fisher_diagonal, square(quantization_perturbation))))",
    ),
)

GRADIENT: tuple[Proxy, ...] = (
    Proxy(
        "snip",
        "gradient",
        "mean connection sensitivity, times bits",
        "mean|∇W·W|·b",
        f"Lee et al., SNIP: single-shot network pruning, 2019; {_ABDELFATTAH}",
        "times_bits(l1_mean(gradient_times_weight))",
        "times_bits(sum(abs(gradient_times_weight)))",
    ),
    Proxy(
        "plain",
        "gradient",
        "mean of gradient times weight, times bits",
        "mean(∇W·W)·b",
        _ABDELFATTAH,
        "times_bits(mean(gradient_times_weight))",
        "times_bits(sum(gradient_times_weight))",
    ),
    Proxy(
        "grasp",
        "gradient",
        "mean change of the gradient's norm by a weight, times bits",
        "−mean(H∇W·W)·b",
        f"Wang et al., Picking winning tickets by preserving gradient flow, 2020; {_ABDELFATTAH}",
        "times_bits(negate(mean(multiply(hessian_gradient, weight))))",
        "times_bits(negate(sum(multiply(hessian_gradient, weight))))",
    ),
    Proxy(
        "gradient_norm",
        "gradient",
        "norm of the weight gradient, times bits",
        "‖∇W‖·b",
        _ABDELFATTAH,
        "times_bits(frobenius_norm(weight_gradient))",
    ),
    Proxy(
        "synflow",
        "gradient",
        "mean synaptic flow, times bits",
        "mean(Vₐ·|W|)·b",
        f"Tanaka et al., Pruning by iteratively conserving synaptic flow, 2020; {_ABDELFATTAH}",
        "times_bits(mean(multiply(synflow_gradient, abs(weight))))",
        "times_bits(sum(multiply(synflow_gradient, abs(weight))))",
    ),
    Proxy(
        "gradient_perturbation",
        "gradient",
        "first-order change of the loss, weight by weight",
        "−Σ|∇W·ΔW|",
        "baseline: the first term of Taylor's series",
        "negate(sum(abs(multiply(weight_gradient, quantization_perturbation))))",
    ),
)

_LOWEST = "with the gradient of the network that has all layers at the lowest width"

PRACTICE: tuple[Proxy, ...] = (
    Proxy(
        "model_optimizer",
        "gradient",
        "squared output gradient times squared change of the output, position by position",
        "−E Σ (∂L/∂y)²·(Δy)²",
        "NVIDIA Model-Optimizer, auto_quantize by gradients, 2025",
        "negate(gradient_output_change)",
    ),
    Proxy(
        "auto_round",
        "gradient",
        f"first-order change of the loss, weight by weight, {_LOWEST}",
        "−Σ|∇W₀·ΔW|",
        "Intel AutoRound, AutoScheme's loss change, 2025",
        "negate(sum(abs(multiply(weight_gradient_low, quantization_perturbation))))",
    ),
    Proxy(
        "kl_gradient",
        "gradient",
        f"first-order change of the divergence from the float outputs, {_LOWEST}",
        "−Σ ∇D₀·ΔW",
        "mlx-lm, dynamic_quant, 2025; Microsoft Olive, kld_gradient, 2025",
        "negate(sum(multiply(divergence_gradient_low, quantization_perturbation)))",
    ),
    Proxy(
        "fisher_block",
        "curvature",
        "second-order change of the loss by the whole empirical Fisher block of the entry",
        "−E(∇W·ΔW)²",
        "baseline: the empirical Fisher without its diagonal approximation",
        "negate(fisher_form)",
    ),
    Proxy(
        "swap_divergence",
        "activation",
        "change of the output's divergence where the entry has the width, all others the lowest",
        "−(D_b − D₀)",
        "exllamav3, optimization of quantized models, 2025",
        "negate(measured_divergence_low)",
    ),
)

WEIGHT: tuple[Proxy, ...] = (
    Proxy(
        "relative_error",
        "weight",
        "squared perturbation relative to the squared weight",
        "−‖ΔW‖²/‖W‖²",
        "baseline: noise to signal",
        f"negate(multiply(power(sum(square(weight)), -1), {_PERTURBATION_ENERGY}))",
        unchanged=0.0,
    ),
    Proxy(
        "sqnr",
        "weight",
        "signal-to-quantization-noise ratio, as a logarithm",
        "−log(‖ΔW‖²/‖W‖²)",
        "baseline; Microsoft Olive's snr_relative, 2025, takes the value at the highest width from "
        "it, which ranks alike",
        f"negate(log(multiply(power(sum(square(weight)), -1), {_PERTURBATION_ENERGY})))",
        unchanged=_FLOAT_RATIO,
    ),
    Proxy(
        "mse",
        "weight",
        "mean squared perturbation",
        "−mean(ΔW²)",
        "baseline",
        "negate(quantization_mse)",
    ),
    Proxy(
        "range",
        "weight",
        "range of the weights, times bits",
        "(max W − min W)·b",
        "baseline",
        "times_bits(subtract(maximum(weight), minimum(weight)))",
    ),
)

EVOLVED: tuple[Proxy, ...] = (
    Proxy(
        "emq",
        "evolved",
        "the formula that EMQ published",
        "mean(softmax(log|V|))·mean(√relu(W))·b",
        "Dong et al., EMQ: Evolving training-free proxies, 2023",
        emq,
        "times_bits(multiply(mean(softmax(log_abs(virtual_gradient))), mean(sqrt(relu(weight)))))",
        uses=("virtual_gradient", "weight"),
    ),
)
