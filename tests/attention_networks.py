"""Networks with attention, and the same of separate linear layers and plain formulas."""

import torch
from torch import Tensor, nn

PARTS = ("q_proj", "k_proj", "v_proj", "out_proj")


def filled(model: nn.Module, seed: int = 0) -> nn.Module:
    """The network in eval mode, with seeded numbers for all parameters: biases too."""
    generator = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        scale = 1 if value.dim() < 2 else value.shape[-1] ** -0.5
        value.data = (scale * torch.randn(value.shape, generator=generator)).to(value.dtype)
    return model.eval()


def rows(count: int = 12) -> Tensor:
    return torch.randn(count, 1, 5, 6, generator=torch.Generator().manual_seed(1))


class Tokens(nn.Module):
    """Attention over the rows of an image (n, 1, 5, 6), and a linear layer."""

    def __init__(self, attention: nn.Module | None = None, **options: object) -> None:
        super().__init__()
        made = nn.MultiheadAttention(6, 2, **{"batch_first": True, **options})
        self.attention = made if attention is None else attention
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(1, 2)
        given = tokens if self.attention.batch_first else tokens.transpose(0, 1)
        taken = given[..., : self.attention.kdim], given[..., : self.attention.vdim]
        mixed, _ = self.attention(given, *taken, need_weights=False)
        return self.head(mixed.mean(dim=1 if self.attention.batch_first else 0))


class Apart(nn.Module):
    """Attention of linear layers, one head after another."""

    batch_first = True

    def __init__(self, theirs: nn.MultiheadAttention) -> None:
        super().__init__()
        self.kdim, self.vdim = theirs.kdim, theirs.vdim
        if theirs.in_proj_weight is None:
            weights = [theirs.q_proj_weight, theirs.k_proj_weight, theirs.v_proj_weight]
        else:
            weights = list(theirs.in_proj_weight.split(theirs.embed_dim))
        biases = [None] * 3 if theirs.in_proj_bias is None else theirs.in_proj_bias.split(6)
        weights.append(theirs.out_proj.weight)
        for name, weight, bias in zip(PARTS, weights, (*biases, theirs.out_proj.bias), strict=True):
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
            layer.weight.data = weight.detach().clone()
            if bias is not None:
                layer.bias.data = bias.detach().clone()
            self.add_module(name, layer)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool
    ) -> tuple[Tensor, None]:
        assert not need_weights
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        heads = []
        for part in (slice(0, 3), slice(3, 6)):
            products = q[..., part] @ k[..., part].transpose(1, 2) / 3**0.5
            heads.append(products.softmax(-1) @ v[..., part])
        return self.out_proj(torch.cat(heads, -1)), None


def twin(model: Tokens) -> Tokens:
    """The same network of linear layers, under the names that those of attention have."""
    made = Tokens(Apart(model.attention))
    made.head.load_state_dict(model.head.state_dict())
    return made.eval()


class Encoder(nn.Module):
    """Two of torch's encoder layers over rows, some of which are only there to fill up."""

    def __init__(self, *, enable_nested_tensor: bool = True, **options: object) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=enable_nested_tensor)
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(1, 2)
        padding = torch.zeros(tokens.shape[:2], dtype=torch.bool)
        padding[::2, -2:] = True
        encoded = self.encoder(tokens, src_key_padding_mask=padding)
        return self.head(encoded[:, 0])
