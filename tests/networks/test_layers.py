import pytest
import torch
from torch import nn

from gp_emq.errors import NetworkError
from gp_emq.networks import entry_layers, find_layers


class Crossed(nn.Module):
    """Calls its modules in another order than it holds them, and leaves one unused."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.unused = nn.Conv2d(3, 3, 1)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.last(self.second(self.norm(self.first(x))).mean((2, 3)))


def test_layers_come_in_the_order_of_their_calls():
    layers = find_layers(Crossed(), torch.zeros(1, 3, 8, 8))
    assert [layer.name for layer in layers] == ["first", "second", "last"]
    assert [layer.depth for layer in layers] == [0, 1, 2]
    assert [layer.kind for layer in layers] == ["Conv2d", "Conv2d", "Linear"]


def test_counts_agree_with_a_hand_calculation():
    first, second, last = find_layers(Crossed(), torch.zeros(1, 3, 8, 8))
    assert first.parameters == 4 * 3 * 9
    assert second.parameters == 4 * 2 * 9 + 4
    assert last.parameters == 4 * 2 + 2
    # 4x4 positions, each output channel sees 3 (2 for the grouped one) channels of 3x3.
    assert first.macs == 16 * 4 * 3 * 9
    assert second.macs == 16 * 4 * 2 * 9
    assert last.macs == 8
    assert [first.batch_norm_channels, second.batch_norm_channels] == [4, 0]


class Normed(nn.Module):
    """A batch norm that takes two layers' outputs, and a layer whose output two norms take."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1)
        self.shared, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        first = self.first(x)
        return self.shared(self.second(self.shared(first) + self.other(first)))


def test_each_batch_norm_is_counted_once():
    first, second = find_layers(Normed(), torch.zeros(1, 1, 8, 8))
    assert [first.batch_norm_channels, second.batch_norm_channels] == [8, 0]


def test_the_mode_of_the_network_is_left_as_it_was():
    model = Crossed()
    model.norm.eval()
    find_layers(model, torch.zeros(1, 3, 8, 8))
    assert model.training
    assert not model.norm.training
    assert model.norm.num_batches_tracked == 0


def test_tied_layers_share_an_entry():
    layers = find_layers(Crossed(), torch.zeros(1, 3, 8, 8), [("last", "first")])
    assert [layer.entry for layer in layers] == [0, 1, 0]
    assert entry_layers(layers) == ((0, 2), (1,))


@pytest.mark.parametrize(
    ("ties", "words"),
    [
        ([("first",)], "at least two"),
        ([("first", "unused")], "'unused' is none of first, second, last"),
        ([("first", "second"), ("second", "last")], "more than one tie"),
    ],
)
def test_wrong_ties_are_named(ties, words):
    with pytest.raises(NetworkError, match=words):
        find_layers(Crossed(), torch.zeros(1, 3, 8, 8), ties)


def test_a_network_without_layers_is_refused():
    with pytest.raises(NetworkError, match="nothing to quantize"):
        find_layers(nn.ReLU(), torch.zeros(1, 3, 8, 8))
