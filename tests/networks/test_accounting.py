import dataclasses

import numpy as np
import pytest

from gp_emq.errors import NetworkError
from gp_emq.networks import (
    MEBIBYTE,
    PER_CHANNEL,
    Granularity,
    bit_operations_table,
    entry_layers,
    float_sizes,
    registered_layers,
    size_table,
    total_cost,
)

# Published with MQ-Bench-101 (Dong et al., ICCV 2023).
RESNET18_ENTRY_PARAMETERS = [
    9536,
    *[36992] * 4,
    73984,
    156160,
    *[147712] * 2,
    295424,
    623616,
    *[590336] * 2,
    1180672,
    2492416,
    *[2360320] * 2,
    513000,
]


@pytest.fixture(scope="module")
def resnet18():
    return registered_layers("resnet18")


def test_entries_of_resnet18_are_the_published_ones(resnet18):
    eight_bits = size_table(resnet18, (8,))[:, 0]
    assert eight_bits.tolist() == RESNET18_ENTRY_PARAMETERS
    assert (len(resnet18), len(entry_layers(resnet18))) == (21, 18)
    names = [layer.name for layer in resnet18]
    for entry, tied in ((6, "layer2.0"), (10, "layer3.0"), (14, "layer4.0")):
        assert [names[i] for i in entry_layers(resnet18)[entry]] == [
            f"{tied}.conv2",
            f"{tied}.downsample.0",
        ]


def test_sizes_of_resnet18_are_the_published_ones(resnet18):
    sizes = size_table(resnet18, (2, 3, 4)).sum(axis=0) / MEBIBYTE
    assert sizes.round(3).tolist() == [2.787, 4.180, 5.574]


def test_size_of_mobilenet_v2_is_the_published_one():
    layers = registered_layers("mobilenet_v2")
    assert len(entry_layers(layers)) == 53
    assert round(size_table(layers, (4,)).sum() / MEBIBYTE, 3) == 1.671


def test_bit_operations_of_8_bit_resnet18_are_the_published_ones(resnet18):
    # HAWQ-V3 (Yao et al. 2021, table 1): INT8 ResNet-18 takes 116 G BOPs.
    assert round(bit_operations_table(resnet18, (8,)).sum() / 1e9) == 116


def test_stored_size_is_what_the_parts_take():
    layers = registered_layers("digits")
    conv, linear = layers[0], layers[-1]
    table = size_table(layers, (3,), "stored")
    # 72 weights of 3 bits, one scale, 8 channels of batch norm with 4 floats.
    assert conv.weight_shape == (8, 1, 3, 3)
    assert table[0, 0] == 27 + 4 + 8 * 4 * 4
    # 320 weights of 3 bits, one scale, 10 float biases.
    assert table[linear.entry, 0] == 120 + 4 + 40
    per_channel = size_table(layers, (3,), "stored", granularity=PER_CHANNEL, symmetric=False)
    assert per_channel[0, 0] == 27 + 8 * 5 + 8 * 4 * 4


def test_groups_have_scales_of_their_own():
    layers = registered_layers("digits")
    conv, linear = layers[0], layers[-1]
    assert (conv.weight_shape, linear.weight_shape) == ((8, 1, 3, 3), (10, 32))
    # 72 weights of 3 bits; 8 rows of 9 values, two groups each: one of 8, and the last one alone.
    table = size_table(layers, (3,), "stored", granularity=Granularity(True, 8))
    assert table[0, 0] == 27 + 16 * 4 + 8 * 4 * 4
    # 320 weights of 3 bits; 10 rows of 32 values, 4 groups each, with a zero point each.
    zeros = size_table(layers, (3,), "stored", granularity=Granularity(True, 8), symmetric=False)
    assert zeros[linear.entry, 0] == 120 + 40 * 5 + 40
    whole = size_table(layers, (3,), "stored", granularity=PER_CHANNEL)
    assert np.array_equal(
        size_table(layers, (3,), "stored", granularity=Granularity(True, 288)), whole
    )


def test_partly_filled_bytes_count_whole():
    layers = registered_layers("digits")[:1]
    odd = [dataclasses.replace(layers[0], weight_shape=(1, 1, 3, 3), parameters=9)]
    assert size_table(odd, (3,), "stored")[0, 0] == 4 + 4 + 128


def test_what_stays_in_float_takes_four_bytes_for_each_number():
    layers = registered_layers("digits")
    # 72 weights and 8 channels of batch norm; 320 weights and 10 biases.
    assert float_sizes(layers)[[0, -1]].tolist() == [4 * (72 + 2 * 8), 4 * 330]
    assert float_sizes(layers, "stored")[[0, -1]].tolist() == [4 * (72 + 4 * 8), 4 * 330]


def test_a_configuration_costs_the_sum_of_its_entries():
    table = np.array([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])
    configurations = np.array([[2, 4], [8, 2]], dtype=np.int8)
    assert total_cost(table, (2, 4, 8), configurations).tolist() == [21.0, 14.0]


def test_an_unknown_accounting_is_refused(resnet18):
    with pytest.raises(NetworkError, match="'packed': known are published, stored"):
        size_table(resnet18, (4,), "packed")
