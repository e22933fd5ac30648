"""A statistic is one record in one file: collected, searched with and written as any other."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_bench import BITS
from tiny_runs import CONFIGURATION

from gp_emq.errors import GpEmqError, StatisticsError
from gp_emq.proxies import Evaluator, parse_expression, to_formula
from gp_emq.proxies._canonical import canonical_form
from gp_emq.statistics import collect_statistics, open_statistics
from gp_emq.store import RunStore
from primitives import load_primitive_set

OWN = """
import torch

from gp_emq.statistics import Kind, Statistic
from primitives import PrimitiveSet


def weight_peak(context):
    layout = context.header.weight_layout
    peaks = [view.abs().max().item() for view in layout.views(context.lookup("weight"))]
    return context.by_entry(context.header.weight_layers, peaks, lambda values, _: values.max())


PEAK = Statistic(
    "weight_peak", Kind.LAYER_VECTOR, "w", "largest magnitude of a weight", weight_peak,
    non_negative=True,
)


def build():
    return PrimitiveSet(
        "peaks", "how far the weights reach", statistics=(PEAK, "macs", "quantization_mse"),
        operators=("multiply", "divide", "sqrt", "abs"),
    )
"""


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> str:
        path = tmp_path / "peaks.py"
        path.write_text(text)
        return str(path)

    return written


def test_a_statistic_of_ones_own_is_one_record_in_one_file(start, write, tiny, tmp_path) -> None:
    path = write(OWN)
    configuration = replace(CONFIGURATION, primitives=path)
    result = start(tmp_path / "run", configuration=configuration)
    with RunStore.open(result.folder) as store:
        rows = [row for row in store.individuals() if "weight_peak" in row.expression]
    assert any(row.reason is None for row in rows)

    peaks = load_primitive_set(path)
    tree = parse_expression("multiply(abs(weight_peak), quantization_mse)", peaks)
    assert to_formula(tree, peaks) == "|w|·mse(ΔW)"
    assert canonical_form(tree, peaks) == "multiply(weight_peak, quantization_mse)"
    statistics = tiny.statistics
    layers = {layer.name: layer.entry for layer in statistics.layers}
    expected = np.zeros(len(set(layers.values())))
    for name, module in tiny.inputs.network.model.named_modules():
        if name in layers:
            peak = np.abs(module.weight.detach().numpy()).max()
            expected[layers[name]] = max(expected[layers[name]], peak)
    mse = statistics.tensor("quantization_mse").numpy()
    table = Evaluator(peaks, statistics).table(tree)
    np.testing.assert_array_equal(table, expected[:, None] * mse)


def collected(tiny, cache):
    inputs = tiny.inputs
    return collect_statistics(
        inputs.calibration, bits=BITS,
        quantizer=inputs.quantizer, ties=[("second", "shortcut")], cache=cache,
    )  # fmt: skip


def test_an_edited_statistic_is_computed_anew_whatever_the_cache_holds(
    write, tiny, tmp_path
) -> None:
    load_primitive_set(write(OWN))
    before = collected(tiny, tmp_path).tensor("weight_peak")
    load_primitive_set(write(OWN.replace(".max().item()", ".max().item() * 2")))
    statistics = collected(tiny, tmp_path)
    assert statistics.tensor("weight_peak").tolist() == (2 * before).tolist()
    assert (
        open_statistics(statistics.folder).tensor("weight_peak").tolist() == (2 * before).tolist()
    )


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (("return context", "raise KeyError(1)  #"), "'weight_peak' cannot be computed: 1"),
        (
            ("values.max())", "values.max()).float()"),
            r"gives torch.float32 \(4,\), but LayerVector",
        ),
        (("values.max())", "values.max())[:2]"), r"gives torch.float64 \(2,\), but LayerVector"),
        (("return context", "return 3  #"), "gives int, but LayerVector is torch.float64"),
        (("values.max())", "values.max()) * torch.inf"), "'weight_peak' is not finite"),
    ],
)
def test_what_a_statistic_gives_must_be_of_its_kind(write, tiny, tmp_path, edit, complaint) -> None:
    assert OWN.count(edit[0]) == 1
    load_primitive_set(write(OWN.replace(*edit)))
    with pytest.raises(StatisticsError, match=complaint):
        collected(tiny, tmp_path).tensor("weight_peak")


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (('"weight_peak", Kind', '"weight", Kind'), "'weight' is the name of a built-in statistic"),
        (('"weight_peak", Kind', '"a b", Kind'), "'a b' cannot be a name in expressions"),
        (("Kind.LAYER_VECTOR", "Kind.WEIGHTS_PER_BIT"), "cannot be WeightsPerBit"),
        ((", weight_peak,", ", None,"), "does not say how it is computed"),
    ],
)
def test_a_statistic_that_cannot_be_is_refused(write, edit, complaint) -> None:
    assert edit[0] in OWN
    with pytest.raises(GpEmqError, match=complaint):
        load_primitive_set(write(OWN.replace(*edit)))
