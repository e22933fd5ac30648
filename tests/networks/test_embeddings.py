"""Which embeddings are layers, and what a private copy makes of their gradients."""

import copy

import pytest
import torch
from torch import Tensor, nn

import gp_emq
from gp_emq.errors import NetworkError
from gp_emq.networks import Workload, find_layers, private_copy

TOKENS = torch.tensor([[0, 2, 2], [1, 0, 3]])


class Net(nn.Module):
    def __init__(self, table: nn.Module, *, tied: bool = False) -> None:
        super().__init__()
        self.table, self.head = table, nn.Linear(4, 5, bias=False)
        if tied:
            self.head.weight = table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        found = self.table(tokens)
        return self.head(found.mean(1) if found.dim() == 3 else found)


class Shifted(nn.Embedding):
    """Reads its own padding, as positions that start behind it do."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward((tokens + self.padding_idx).clamp(max=4))


def names(model: nn.Module) -> list[str]:
    return [layer.name for layer in find_layers(model, TOKENS[:1])]


def test_tables_that_change_as_they_are_used_are_no_layers() -> None:
    assert names(Net(nn.Embedding(5, 4))) == ["table", "head"]
    assert names(Net(nn.Embedding(5, 4, max_norm=1.0))) == ["head"]
    assert names(Net(nn.EmbeddingBag(5, 4))) == ["head"]
    # What multiplies by such a weight would find it off its grid.
    for table in (nn.Embedding(5, 4, max_norm=1.0), nn.EmbeddingBag(5, 4, max_norm=1.0)):
        with pytest.raises(NetworkError, match="nothing to quantize"):
            names(Net(table, tied=True))


def test_a_lone_embedding_has_no_name() -> None:
    with pytest.raises(NetworkError, match="itself an Embedding"):
        find_layers(nn.Embedding(5, 4), TOKENS[:1])
    assert names(nn.Sequential(nn.Embedding(5, 4))) == ["0"]


@pytest.mark.parametrize(
    "options", [{"padding_idx": 0}, {"sparse": True}, {"scale_grad_by_freq": True}]
)
@pytest.mark.parametrize("kind", [nn.Embedding, Shifted])
def test_gradients_are_plain_in_eval_mode_and_as_the_user_wants_in_training(
    kind: type[nn.Embedding], options: dict[str, object]
) -> None:
    options = {"padding_idx": 0, **options}
    table = kind(5, 4, **options)
    copied = private_copy(nn.Sequential(table))
    assert type(table) is kind
    assert isinstance(copied[0], nn.Embedding)
    assert repr(copied[0]) == repr(table)
    assert torch.equal(copied(TOKENS), table(TOKENS))
    once = torch.bincount(TOKENS.flatten(), minlength=5).float()
    for training in (False, True):
        copied.train(training)
        weight = copied[0].weight.detach().clone().requires_grad_()
        given = torch.func.functional_call(copied, {"0.weight": weight}, (TOKENS,))
        (found,) = torch.autograd.grad(given.sum(), weight)
        expected = once.clone()
        if training:
            if options.get("scale_grad_by_freq"):
                expected = (once > 0).float()
            expected[0] = 0
        assert found.layout == torch.strided
        assert torch.equal(found, expected[:, None].expand(5, 4))


def test_a_workload_of_a_subclass_has_its_true_gradient() -> None:
    model = Net(Shifted(5, 4, padding_idx=1)).eval()
    before = copy.deepcopy(model.state_dict())
    statistics = gp_emq.collect_statistics(Workload(model, TOKENS), bits=(2, 4))
    gradient = statistics.layout("Weights").views(statistics.tensor("virtual_gradient"))[0]
    # The tokens 0, 2, 2 are read as 1, 3, 3: a third of the head's summed rows for each.
    rows = model.head.weight.detach().sum(0) / 3
    expected = torch.stack([0 * rows, rows, 0 * rows, 2 * rows, 0 * rows])
    torch.testing.assert_close(gradient, expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
