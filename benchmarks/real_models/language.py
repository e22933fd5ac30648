"""Language models of `transformers`, of two layers: they are trained here, in minutes.

They read the language reference of Python byte by byte, which comes with Python. One sample in
20 is held out; what calibrates, and what plans race on, is of those that trained.
"""

import math
from functools import partial
from pydoc_data.topics import topics
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.real_models.model import PERPLEXITY, RealModel, package
from gp_emq.determinism import one_thread
from gp_emq.networks import Metric, Workload, import_torchvision

INSTALL = "'gp_emq[models]'"
BYTES, STEPS, WIDTH, HEADS, LAYERS = 128, 64, 128, 4, 2
MASK, MASKED = 0, 9
"""The byte that hides others, which no text has, and how many of a sample it hides."""
CALIBRATION, HELD_BACK, TESTS = 32, 64, 256
BATCH, TRAINED, RATE = 16, 600, 3e-3
BERT_TRAINED, BERT_RATE = 1000, 1e-3
"""BERT is told 9 bytes of a sample at once, not 63, and learns little until it sees neighbours."""
GROUP = 64


def samples() -> tuple[Tensor, Tensor]:
    """Give texts to train on and others, int64 (n, 64) each: every 20th is held out."""
    text = "".join(topics[name] for name in sorted(topics)).encode("ascii", "ignore")
    rows = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
    rows = rows[: len(rows) // STEPS * STEPS].reshape(-1, STEPS)
    held_out = torch.arange(len(rows)) % 20 == 0
    return rows[~held_out], rows[held_out]


def next_byte(outputs: Any, tokens: Tensor) -> Tensor:
    """Give the mean loss over the bytes of each sample that follow others, (n,)."""
    return functional.cross_entropy(
        outputs["logits"][:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none"
    ).mean(dim=1)


def hidden_bytes(outputs: Any, wanted: Tensor) -> Tensor:
    """Give the mean loss over the hidden bytes of each sample, (n,); -100 is none of them."""
    losses = functional.cross_entropy(
        outputs["logits"].transpose(1, 2), wanted, reduction="none", ignore_index=-100
    )
    return losses.sum(dim=1) / MASKED


def plain(tokens: Tensor, _numbers: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Give what GPT is fed, and what it shall say."""
    return {"input_ids": tokens}, tokens


def masked(tokens: Tensor, numbers: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Give what BERT is fed, with as many bytes of each sample hidden, and what it shall say."""
    places = torch.rand(tokens.shape, generator=numbers).argsort(dim=1)[:, :MASKED]
    hidden = torch.zeros_like(tokens).scatter(1, places, 1).bool()
    fed = {"input_ids": tokens.masked_fill(hidden, MASK), "attention_mask": torch.ones_like(tokens)}
    return fed, tokens.masked_fill(~hidden, -100)


def transformers() -> ModuleType:
    """Import the library, which imports torchvision where there is one."""
    import_torchvision()
    return package("transformers", INSTALL)


def gpt() -> nn.Module:
    """Build GPT-2 with two layers, whose products are `Conv1D` layers."""
    library = transformers()
    made: nn.Module = library.GPT2LMHeadModel(
        library.GPT2Config(
            vocab_size=BYTES, n_positions=STEPS, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
            use_cache=False,
        )
    )  # fmt: skip
    return made


def bert() -> nn.Module:
    """Build BERT with two layers, for hidden bytes.

    Weights keep the deviation of what they are fed, and positions start as waves, as loud as the
    bytes: with small weights and random positions it learns later which bytes are neighbours.
    """
    library = transformers()
    made: nn.Module = library.BertForMaskedLM(
        library.BertConfig(
            vocab_size=BYTES, max_position_embeddings=STEPS, hidden_size=WIDTH,
            num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=None,
            initializer_range=WIDTH**-0.5,
        )
    )  # fmt: skip
    positions = made.get_parameter("bert.embeddings.position_embeddings.weight")
    positions.data.copy_(waves() * (2 / WIDTH) ** 0.5)
    return made


def waves() -> Tensor:
    """Give sines and cosines of 4 to 256 steps a turn, (64, 128).

    Source: Vaswani et al., Attention is all you need, 2017, with other lengths.
    """
    turns = 4 * STEPS ** (torch.arange(WIDTH // 2) / (WIDTH // 2))
    angles = 2 * math.pi * torch.arange(STEPS)[:, None] / turns
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def train(build: Any, fed: Any, loss: Any, steps: int = TRAINED, rate: float = RATE) -> nn.Module:
    """Train a network from nothing, the same each time.

    Args:
        build: Makes it, of random weights.
        fed: Gives inputs and targets of tokens.
        loss: Of outputs and targets.
        steps: Of AdamW, whose rate rises for a tenth of them and falls to nothing.
        rate: The highest.
    """
    rows, _ = samples()
    numbers = torch.Generator().manual_seed(1)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = build().train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rate, total_steps=steps, pct_start=0.1
        )
        for _ in range(steps):
            inputs, wanted = fed(
                rows[torch.randint(len(rows), (BATCH,), generator=numbers)], numbers
            )
            optimizer.zero_grad()
            loss(model(**inputs), wanted).mean().backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def workload(build: Any, fed: Any, loss: Any, steps: int = TRAINED, rate: float = RATE) -> Workload:
    """Train a network, and give it on samples of those that trained and then those held out."""
    model = train(build, fed, loss, steps, rate)
    rows, held_out = samples()
    numbers = torch.Generator().manual_seed(2)
    chosen = torch.randperm(len(rows), generator=numbers)[: CALIBRATION + HELD_BACK]
    tests = torch.randperm(len(held_out), generator=numbers)[:TESTS]
    batch = fed(torch.cat([rows[chosen], held_out[tests]]), numbers)
    metric = Metric("loss of a byte", loss, higher_is_better=False)
    return Workload(model, batch, loss=loss, metric=metric)


MODELS = (
    RealModel(
        "gpt", "the next byte of a text, GPT-2 of two layers, trained here",
        partial(workload, gpt, plain, next_byte), CALIBRATION, HELD_BACK,
        group=GROUP, form=PERPLEXITY,
    ),
    RealModel(
        "bert", "hidden bytes of a text, BERT of two layers, trained here",
        partial(workload, bert, masked, hidden_bytes, BERT_TRAINED, BERT_RATE), CALIBRATION,
        HELD_BACK,
        group=GROUP, form=PERPLEXITY,
    ),
)  # fmt: skip
