"""The hand-crafted proxies that are formulas over statistics, as expressions.

Saliencies of single weights are averaged over a layer in the aligned form, since bits are
spent per weight; the public scripts add them up, which mostly ranks layers by their size.
"""

import math
from typing import Any

from gp_emq.proxies._proxy import Proxy
from gp_emq.proxies.handcrafted._emq import emq
from gp_emq.proxies.handcrafted._names import DESCRIPTIONS

_PERTURBATION_ENERGY = "sum(square(quantization_perturbation))"
_FLOAT_RATIO = 2 * 24 * math.log(2)
"""Signal-to-noise ratio of float32, as a logarithm: what is unchanged may be that far off."""
_ABDELFATTAH = "Abdelfattah et al., Zero-cost proxies for lightweight NAS, 2021"


def known(name: str, *rest: Any, **more: Any) -> Proxy:
    """Make the proxy of a name of `DESCRIPTIONS`, given what comes after that."""
    return Proxy(name, *DESCRIPTIONS[name], *rest, **more)


FORMULAS: tuple[Proxy, ...] = (
    known(
        "sum_of_bits",
        "Σ b",
        "baseline",
        "bits",
    ),
    known(
        "bparams",
        "n·b",
        "baseline",
        "multiply(parameter_count, bits)",
    ),
    known(
        "bops",
        "m·b",
        "baseline",
        "multiply(macs, bits)",
    ),
    known(
        "hawq",
        "λ/n·b",
        "Dong et al., HAWQ: Hessian aware quantization of neural networks, 2019",
        "times_bits(divide(hessian_top_eigenvalue, parameter_count))",
        "times_bits(hessian_top_eigenvalue)",
    ),
    known(
        "hawq_perturbation",
        "−λ·‖ΔW‖²",
        "Dong et al., HAWQ: Hessian aware quantization of neural networks, 2019",
        f"negate(multiply(hessian_top_eigenvalue, {_PERTURBATION_ENERGY}))",
    ),
    known(
        "hawq_v2",
        "−tr(H)/n·‖ΔW‖²",
        "Dong et al., HAWQ-V2: Hessian aware trace-weighted quantization, 2020",
        f"negate(multiply(mean(hessian_diagonal), {_PERTURBATION_ENERGY}))",
        "times_bits(hessian_trace)",
    ),
    known(
        "hessian_diagonal",
        "−Σ diag(H)·ΔW²",
        "LeCun et al., Optimal brain damage, 1989",
        "negate(sum(multiply(hessian_diagonal, square(quantization_perturbation))))",
        "times_bits(mean(hessian_diagonal))",
    ),
    known(
        "fit_trace",
        "−tr(F)/n·‖ΔW‖²",
        "Zandonati et al., FIT: a metric for model sensitivity, 2022",
        f"negate(multiply(mean(fisher_diagonal), {_PERTURBATION_ENERGY}))",
    ),
    known(
        "fit_diagonal",
        "−Σ diag(F)·ΔW²",
        "Zandonati et al., FIT: a metric for model sensitivity, 2022",
        "negate(sum(multiply(fisher_diagonal, square(quantization_perturbation))))",
    ),
    known(
        "snip",
        "mean|∇W·W|·b",
        f"Lee et al., SNIP: single-shot network pruning, 2019; {_ABDELFATTAH}",
        "times_bits(l1_mean(gradient_times_weight))",
        "times_bits(sum(abs(gradient_times_weight)))",
    ),
    known(
        "plain",
        "mean(∇W·W)·b",
        _ABDELFATTAH,
        "times_bits(mean(gradient_times_weight))",
        "times_bits(sum(gradient_times_weight))",
    ),
    known(
        "grasp",
        "−mean(H∇W·W)·b",
        f"Wang et al., Picking winning tickets by preserving gradient flow, 2020; {_ABDELFATTAH}",
        "times_bits(negate(mean(multiply(hessian_gradient, weight))))",
        "times_bits(negate(sum(multiply(hessian_gradient, weight))))",
    ),
    known(
        "gradient_norm",
        "‖∇W‖·b",
        _ABDELFATTAH,
        "times_bits(frobenius_norm(weight_gradient))",
    ),
    known(
        "synflow",
        "mean(Vₐ·|W|)·b",
        f"Tanaka et al., Pruning by iteratively conserving synaptic flow, 2020; {_ABDELFATTAH}",
        "times_bits(mean(multiply(synflow_gradient, abs(weight))))",
        "times_bits(sum(multiply(synflow_gradient, abs(weight))))",
    ),
    known(
        "gradient_perturbation",
        "−Σ|∇W·ΔW|",
        "baseline: the first term of Taylor's series",
        "negate(sum(abs(multiply(weight_gradient, quantization_perturbation))))",
    ),
    known(
        "model_optimizer",
        "−E Σ (∂L/∂y)²·(Δy)²",
        "NVIDIA Model-Optimizer, auto_quantize by gradients, 2025",
        "negate(gradient_output_change)",
    ),
    known(
        "auto_round",
        "−Σ|∇W₀·ΔW|",
        "Intel AutoRound, AutoScheme's loss change, 2025",
        "negate(sum(abs(multiply(weight_gradient_low, quantization_perturbation))))",
    ),
    known(
        "kl_gradient",
        "−Σ ∇D₀·ΔW",
        "mlx-lm, dynamic_quant, 2025; Microsoft Olive, kld_gradient, 2025",
        "negate(sum(multiply(divergence_gradient_low, quantization_perturbation)))",
    ),
    known(
        "fisher_block",
        "−E(∇W·ΔW)²",
        "baseline: the empirical Fisher without its diagonal approximation",
        "negate(fisher_form)",
    ),
    known(
        "swap_divergence",
        "−(D_b − D₀)",
        "exllamav3, optimization of quantized models, 2025",
        "negate(measured_divergence_low)",
    ),
    known(
        "relative_error",
        "−‖ΔW‖²/‖W‖²",
        "baseline: noise to signal",
        f"negate(multiply(power(sum(square(weight)), -1), {_PERTURBATION_ENERGY}))",
        unchanged=0.0,
    ),
    known(
        "sqnr",
        "−log(‖ΔW‖²/‖W‖²)",
        "baseline; Microsoft Olive's snr_relative, 2025, takes the value at the highest width from "
        "it, which ranks alike",
        f"negate(log(multiply(power(sum(square(weight)), -1), {_PERTURBATION_ENERGY})))",
        unchanged=_FLOAT_RATIO,
    ),
    known(
        "mse",
        "−mean(ΔW²)",
        "baseline",
        "negate(quantization_mse)",
    ),
    known(
        "range",
        "(max W − min W)·b",
        "baseline",
        "times_bits(subtract(maximum(weight), minimum(weight)))",
    ),
    known(
        "emq",
        "mean(softmax(log|V|))·mean(√relu(W))·b",
        "Dong et al., EMQ: Evolving training-free proxies, 2023",
        emq,
        "times_bits(multiply(mean(softmax(log_abs(virtual_gradient))), mean(sqrt(relu(weight)))))",
        uses=("virtual_gradient", "weight"),
    ),
)
