"""What sensitivity tables know, what arrays that are made of them know, and what they refuse."""

import copy
import pickle

import numpy as np
import pytest
import torch
from synthetic import BITS, synthetic_layers, synthetic_statistics

from gp_emq.errors import AllocationError
from gp_emq.proxies import SensitivityTable
from gp_emq.proxies.loading import load_proxy

LAYERS = synthetic_layers()
VALUES = np.array([[-9.0, -4.0, -1.0], [-6.0, -3.0, -2.0], [-5.0, -1.0, -0.5]])


def made(values=VALUES, **options) -> SensitivityTable:
    return SensitivityTable(values, **({"bits": BITS, "layers": LAYERS} | options))


def test_the_table_of_a_proxy_says_what_it_is_of() -> None:
    statistics = synthetic_statistics()
    proxy = load_proxy("negate(quantization_mse)")
    table = proxy.table(statistics)
    assert table.bits == BITS
    assert table.layers == statistics.layers
    assert (table.proxy, table.formula) == (proxy.name, proxy.formula)
    assert table.expression == "negate(quantization_mse)"
    assert table.statistics == statistics.fingerprint
    np.testing.assert_array_equal(table, -statistics.tensor("quantization_mse").numpy())


def test_it_works_as_the_array_that_it_is() -> None:
    table = made()
    assert isinstance(table, np.ndarray)
    assert (table.shape, table.dtype) == ((3, 3), np.float64)
    assert table.tolist() == VALUES.tolist()
    assert table[1].tolist() == [-6.0, -3.0, -2.0]
    assert float(table[2, 1]) == -1.0
    assert [row.tolist() for row in table] == VALUES.tolist()
    assert table.sum() == VALUES.sum()
    assert np.array_equal(table.argmax(axis=1), [2, 2, 2])
    assert torch.equal(torch.from_numpy(np.asarray(table)), torch.from_numpy(VALUES))
    np.testing.assert_array_equal(np.log(-table), np.log(-VALUES))
    np.testing.assert_array_equal(table - table.mean(axis=1, keepdims=True),
                                  VALUES - VALUES.mean(axis=1, keepdims=True))  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda table: table[:, ::-1],
        lambda table: table[[2, 1, 0]],
        lambda table: table[...],
        lambda table: -table,
        lambda table: table + table,
        lambda table: 2 * table,
        np.exp,
        np.sort,
        lambda table: np.flip(table, axis=0),
        lambda table: np.concatenate([table, table]),
        lambda table: np.where(table > -2, table, 0.0),
        lambda table: table.T,
        lambda table: table.transpose(),
        lambda table: table.reshape(3, 3),
        lambda table: table.copy(),
        lambda table: table.astype(np.float32),
        lambda table: table.cumsum(axis=1),
        lambda table: table.view(),
        lambda table: np.add(table, 1.0, where=table > -2, out=np.zeros((3, 3))),
    ],
)
def test_what_is_made_of_a_table_has_no_labels(make) -> None:
    result = make(made())
    assert isinstance(result, np.ndarray)
    assert not getattr(result, "is_labelled", False)
    with pytest.raises(AttributeError):
        _ = result.bits


@pytest.mark.parametrize(
    "transport",
    [copy.copy, copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))],  # noqa: S301
)
def test_copies_and_pickles_keep_them(transport) -> None:
    table = made(proxy="fit", formula="−F", statistics="0")
    again = transport(table)
    assert again is not table
    assert (again.bits, again.layers, again.provenance) == (BITS, LAYERS, table.provenance)
    assert not again.is_edited
    again[0, 0] = 5.0
    assert table[0, 0] == -9.0


@pytest.mark.parametrize(
    "edit",
    [
        lambda table: table.__setitem__((0, 0), 1.0),
        lambda table: table.__imul__(2.0),
        lambda table: np.negative(table, out=table),
        lambda table: table[1].fill(0.0),
        lambda table: table.sort(axis=0),
    ],
)
def test_a_table_that_was_changed_no_longer_counts_as_its_proxys(edit) -> None:
    table = made(proxy="fit", formula="−F", statistics="0")
    assert table.provenance == {"proxy": "fit", "formula": "−F", "statistics": "0"}
    edit(table)
    assert table.is_edited
    assert table.bits == BITS
    assert table.provenance == {"proxy": "fit (edited)"}


def test_it_holds_values_of_its_own() -> None:
    values = VALUES.copy()
    table = made(values)
    values[0, 0] = 7.0
    assert table[0, 0] == -9.0


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (VALUES, {"bits": (2, 3)}, r"shape \(3, 3\).*3 entries and 2 bit choices \(2, 3\)"),
        (VALUES[:2], {}, r"shape \(2, 3\).*3 entries"),
        (VALUES, {"bits": (4, 3, 2)}, "must rise"),
        (VALUES, {"bits": (2, 3, 3)}, "must rise"),
        (VALUES, {"bits": (1, 2, 3)}, "2 to 8 bits, not 1"),
        (VALUES, {"bits": (2.0, 3.0, 4.0)}, "whole numbers"),
        (VALUES, {"bits": 3}, "whole numbers"),
        (VALUES, {"layers": ()}, "no layers"),
        (VALUES.astype(str), {}, "real numbers, not values of type <U"),
        (VALUES.astype(complex), {}, "real numbers, not values of type complex128"),
        (VALUES > 0, {}, "real numbers, not values of type bool"),
        ([[1.0], [2.0, 3.0]], {}, "must be an array of numbers"),
        (None, {}, "real numbers, not values of type object"),
    ],
)
def test_what_is_no_table_is_refused(values, options, message: str) -> None:
    with pytest.raises(AllocationError, match=message) as caught:
        made(values, **options)
    assert "\n" not in str(caught.value)


def test_masked_values_are_missing() -> None:
    mask = np.zeros((3, 3), dtype=bool)
    mask[1, 2] = True
    table = made(np.ma.masked_array(VALUES, mask))
    assert np.isnan(table[1, 2])
    assert np.isfinite(table).sum() == 8
