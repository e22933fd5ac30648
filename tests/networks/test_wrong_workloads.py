"""What a wrong workload gives: one line that names what was given and what is expected."""

from collections.abc import Callable, Iterator
from pathlib import Path

import bad_workloads as bad
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import gp_emq
from gp_emq.allocate import main as allocate
from gp_emq.bench import main as bench
from gp_emq.command import exit_status
from gp_emq.errors import GpEmqError
from gp_emq.networks import Metric, Workload
from gp_emq.quantize import main as quantize
from gp_emq.run import main as run

N = 12
INPUTS, WANTED, LABELS = (values[:N] for values in bad.numbers())
PICTURES, CLASSES = torch.zeros(N, 3, 8, 8), torch.arange(N) % 5
FIRST, SECOND = torch.zeros(N, 4), torch.ones(N, 3)
TOKENS = torch.arange(N * 7).reshape(N, 7) % 20


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(3, 6), nn.Linear(6, 3)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.last((self.first(one) + self.second(other)).tanh())


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.letters, self.last = nn.Embedding(20, 8), nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.last(self.letters(tokens).mean(dim=1))


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 8)

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        boxes = self.conv(images).flatten(1)
        return [{"boxes": box[None], "scores": box.sum()[None]} for box in boxes]


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3)) * self.scale


def pictures() -> nn.Module:
    return bad.picture_network()[0]


def whole(model: nn.Module | Workload, *samples: object) -> dict[str, int]:
    """Go from a network to a quantized one, and measure it where it is a workload's."""
    statistics = gp_emq.collect_statistics(model, *samples, bits=(2, 4, 8))
    plan = gp_emq.allocate(gp_emq.load_proxy("fit").table(statistics), average_bits=4)
    quantized = gp_emq.quantize(model, plan, *samples[:1])
    if isinstance(model, Workload):
        measured = model.of(quantized).measured(batch=8)
        assert measured.isfinite().all()
    return plan.widths


def spent() -> Iterator[tuple[Tensor, Tensor]]:
    batches = iter([(INPUTS, LABELS)])
    list(batches)
    return batches


def judged(**given: object) -> Workload:
    return Workload(bad.made(), (INPUTS, WANTED), **{"loss": bad.squared, **given})


def dicts(**more: Tensor) -> dict[str, Tensor]:
    return {"one": FIRST, "other": SECOND, **more}


SAMPLES = {
    "channels last, as bytes": (
        lambda: whole(pictures(), np.zeros((N, 8, 8, 3), np.uint8), CLASSES),
        r"\(1, 8, 8, 3\).*look as if their channels came last",
    ),
    "channels last, in a list": (
        lambda: whole(pictures(), [np.zeros((8, 8, 3))] * N), "channels came last",
    ),
    "one image": (lambda: whole(pictures(), PICTURES[0]), r"height, width\), got \(3, 8, 8\)"),
    "objects": (lambda: whole(pictures(), np.array([None] * N)), "must be numbers, .* object"),
    "names": (lambda: whole(pictures(), ["a.png", "b.png"]), "images are str: give a tensor"),
    "a folder": (lambda: whole(pictures(), Path("images")), "images are pathlib.* give a tensor"),
    "words": (lambda: Workload(Reader(), ["a cat", "sat"], loss=bad.squared), "a batch holds str"),
    "lists of numbers": (lambda: whole(Reader(), TOKENS.tolist()), "images are list of int: give"),
    "other channels": (lambda: whole(pictures(), PICTURES[:, :1]), r"\(1, 1, 8, 8\): .*3 channels"),
    "no samples": (lambda: whole(pictures(), PICTURES[:0]), "there are no images in a"),
    "nothing": (lambda: whole(pictures()), "there are no images"),
    "a spent iterator": (lambda: whole(Workload(bad.made(), spent())), "there are no images"),
    "a spent iterator for a loss": (
        lambda: Workload(bad.made(), spent(), loss=functional.cross_entropy), "are no batches",
    ),
    "without memory": (lambda: whole(bad.made(), INPUTS.to("meta")), "on the meta device"),
    "sparse": (lambda: whole(bad.made(), INPUTS.to_sparse()), "dense tensors .*sparse_coo"),
    "complex": (
        lambda: Workload(bad.made(), (INPUTS * 1j, WANTED), loss=bad.squared),
        "real numbers, they are .*complex64",
    ),
    "three tensors in a row": (
        lambda: whole(bad.made(), TensorDataset(INPUTS, LABELS, LABELS)), "groups of 3: .*several",
    ),
}  # fmt: skip

TARGETS = {
    "too few": (lambda: whole(pictures(), PICTURES, CLASSES[:5]), r"12 whole numbers, .*\(5,\)"),
    "fractions": (lambda: whole(pictures(), PICTURES, CLASSES / 2), "12 whole numbers, .*float32"),
    "one-hot": (
        lambda: whole(pictures(), PICTURES, torch.eye(5)[CLASSES].long()), r"got .*\(12, 5\)",
    ),
    "words": (lambda: whole(pictures(), PICTURES, ["cat"] * N), "labels are list of str: give"),
    "too large": (
        lambda: whole(pictures(), PICTURES, CLASSES + 4), "must be 0 to 4, .* from 4 to 8",
    ),
    "below 0": (
        lambda: whole(Workload(pictures(), PICTURES, CLASSES - 1)), "must be 0 to 4, .* -1 to 3",
    ),
    "too large, measured alone": (
        lambda: Workload(pictures(), PICTURES, CLASSES + 4).measured(8), "must be 0 to 4",
    ),
    "masks without a loss": (
        lambda: Workload(nn.Sequential(nn.Conv2d(3, 4, 1)), (PICTURES, torch.zeros(N, 8, 8))),
        "targets that are no labels need a loss",
    ),
    "numbers without a metric": (
        lambda: judged().measured(8), r"top-1 needs labels .*\(8, 3\): give Workload a metric",
    ),
    "beside pairs": (lambda: Workload(bad.made(), (INPUTS, LABELS), LABELS), "give them once"),
    "beside a loss": (
        lambda: Workload(bad.made(), INPUTS, LABELS, loss=bad.squared), "labels beside batches",
    ),
}  # fmt: skip

FEEDING = {
    "two inputs in a tuple": (
        lambda: Workload(TwoInputs(), (FIRST, SECOND)), r"as \(\(first, second, ...\), labels\)",
    ),
    "two inputs as a pair": (
        lambda: whole(Workload(TwoInputs(), (FIRST, SECOND), loss=bad.squared)),
        "'other'; several inputs come as a dict by name",
    ),
    "one of two inputs": (lambda: whole(TwoInputs(), FIRST), "'other'; several inputs"),
    "one input too many": (
        lambda: whole(Workload(TwoInputs(), dicts(labels=LABELS))), "argument 'labels'; several",
    ),
    "tokens as floats": (lambda: whole(Reader(), TOKENS.float()), "token ids are int64 or int32"),
    "tokens of 16 bits": (lambda: whole(Reader(), TOKENS.short()), "token ids are int64 or int32"),
    "tokens of other words": (lambda: whole(Reader(), TOKENS + 5), "these reach from 5 to 24"),
    "tokens and tokens": (lambda: Workload(Reader(), (TOKENS, TOKENS)), "no .ids, labels.: give"),
    "whole numbers for a linear layer": (
        lambda: whole(bad.made(), TOKENS[:, :6]), "are fed as they are: give floats",
    ),
    "a forward that is none": (
        lambda: Workload(bad.made(), INPUTS, forward="x"), r"forward is str, not forward\(model",
    ),
    "a forward that fails": (
        lambda: whole(Workload(bad.made(), INPUTS, forward=lambda model, x: model.none(x))),
        "fails on images of shape .12, 6.: AttributeError: .*'none'",
    ),
    "no model": (lambda: Workload("model.pt", INPUTS), "must be a torch.nn.Module .* not str"),
    "outputs in a list of dicts": (
        lambda: whole(Workload(Detector(), {"images": PICTURES})),
        "no tensor of floats with a row .* list of 12, the first dict of boxes, scores; a forward",
    ),
    "answers instead of scores": (
        lambda: whole(Workload(Detector(), PICTURES, forward=lambda model, x: x.argmax(1))),
        r"of torch.int64 of shape",
    ),
    "three axes": (lambda: whole(bad.made(), PICTURES[:, 0]), "other inputs .* gp_emq.Workload"),
    "a class": (lambda: whole(TwoInputs, INPUTS), "must be a torch.nn.Module .* not type"),
    "a model without memory": (
        lambda: gp_emq.quantize(bad.made().to("meta"), {"0": 4}, INPUTS), "0.weight is on the meta",
    ),
    "a model without layers": (lambda: whole(Bare(), PICTURES), "nothing to quantize"),
    "a layer alone": (lambda: whole(nn.Linear(6, 3), INPUTS), "torch.nn.Sequential"),
}  # fmt: skip

JUDGES = {
    "a matrix of losses": (
        lambda: whole(judged(loss=lambda o, t: o - t)), r"the loss must give .*\(2, 3\)",
    ),
    "a float": (lambda: whole(judged(loss=lambda o, t: 1.0)), "as a tensor; got float"),
    "no loss": (lambda: whole(judged(loss=lambda o, t: None)), "as a tensor; got NoneType"),
    "a step": (
        lambda: whole(judged(loss=lambda o, t: (o > t).sum(1))), "no gradient .*int64 .*argmax",
    ),
    "a detached loss": (
        lambda: whole(judged(loss=lambda o, t: bad.squared(o.detach(), t))), "no gradient",
    ),
    "a loss that is not finite": (
        lambda: whole(judged(loss=lambda o, t: bad.squared(o, t) * torch.nan)), "not finite",
    ),
    "a loss that fails": (
        lambda: whole(judged(loss=lambda o, t: o.none)),
        r"the loss fails on outputs .*\(2, 3\) and targets .*\(2, 3\): AttributeError",
    ),
    "a loss of one argument": (
        lambda: whole(judged(loss=lambda o: o.mean())), "the loss fails on .*TypeError",
    ),
    "the name of a loss": (lambda: judged(loss="mse"), r"the loss is str, not loss\(outputs, t"),
    "the class of a loss": (lambda: judged(loss=nn.MSELoss), "the class MSELoss, .*give one of it"),
    "a function as metric": (lambda: judged(metric=bad.squared), "is function, not a gp_emq"),
    "arguments the wrong way round": (lambda: Metric(bad.squared, "error"), "metric is text, not"),
    "the name of a metric": (lambda: Metric("error", "mse"), "metric error is str, not function"),
    "a metric that is no number": (
        lambda: whole(judged(metric=Metric("own", lambda o, t: (o - t)[:, 0] * torch.nan))),
        "metric own is not a number for 8 of 8 samples",
    ),
    "a word": (lambda: judged(metric=Metric("own", lambda o, t: "x")).measured(8), "8,.* got str"),
    "one number for all": (
        lambda: judged(metric=Metric("own", lambda o, t: o.mean())).measured(8),
        r"as a tensor \(8,\); with per_sample=False one for all; got a tensor of shape \(\)",
    ),
    "a float for all": (
        lambda: judged(metric=Metric("own", lambda o, t: 1.0, per_sample=False)).measured(8),
        r"one number for all samples, as a tensor \(\); got float",
    ),
    "complex numbers": (
        lambda: judged(metric=Metric("own", lambda o, t: o[:, 0] * 1j)).measured(8), "must give",
    ),
    "a metric that fails": (
        lambda: judged(metric=Metric("own", lambda o, t: o.none)).measured(8),
        "metric own fails on outputs .*AttributeError",
    ),
    "parts of none": (lambda: judged(metric=bad.SQUARED).measured(0), "at least 1, not 0"),
}  # fmt: skip

CALLS = {
    "widths as text": (
        lambda: gp_emq.collect_statistics(bad.made(), INPUTS, bits="234"), "bits are '234': give",
    ),
    "one width": (lambda: gp_emq.collect_statistics(bad.made(), INPUTS, bits=4), "bits are 4: gi"),
    "half a bit": (
        lambda: gp_emq.collect_statistics(bad.made(), INPUTS, bits=(2.5, 4)), "be whole numbers",
    ),
    "the name of a plan": (lambda: gp_emq.quantize(bad.made(), "plan.json", INPUTS), "plan is str"),
    "no plan": (lambda: gp_emq.quantize(bad.made(), None, INPUTS), "the plan is NoneType: give"),
    "a list of widths": (lambda: gp_emq.quantize(bad.made(), [4, 4], INPUTS), "the plan is list"),
    "a plan in halves": (
        lambda: gp_emq.quantize(bad.made(), {"0": 4.5}, INPUTS), "'0' 4.5 bits, which is no whole",
    ),
    "widths out of range": (
        lambda: gp_emq.collect_statistics(bad.made(), INPUTS, bits=(2, 16)),
        r"bit widths must be 2 to 8, got \[2, 16\]",
    ),
    "a width of no bits": (
        lambda: gp_emq.collect_statistics(bad.made(), INPUTS, bits=(0, 4)), "must be 2 to 8",
    ),
    "true as a width": (
        lambda: gp_emq.collect_statistics(bad.made(), INPUTS, bits=(True, 4)), "whole numbers",
    ),
    "half an iteration": (
        lambda: gp_emq.quantize(bad.made(), {"0": 4}, INPUTS, method="adaround", iterations=1.5),
        "iterations must be a whole number, not 1.5",
    ),
    "half a seed": (
        lambda: gp_emq.quantize(bad.made(), {"0": 4}, INPUTS, seed=1.5), "seed must be a whole",
    ),
    "a seed beyond torch's": (
        lambda: gp_emq.quantize(bad.made(), {"0": 4}, INPUTS, seed=2**70), "seed must be at most",
    ),
    "widths in place of a plan": (
        lambda: gp_emq.save_quantized(
            gp_emq.quantize(bad.made(), {"0": 4}, INPUTS), "q.safetensors", plan={"0": 4}
        ),
        "the plan is dict: give what allocate or load_plan returns",
    ),
    "one proxy in place of several": (
        lambda: gp_emq.best_plan(bad.made(), INPUTS, average_bits=4, proxies="fit"),
        r"proxies is 'fit': give a list of them, as \['fit'\]",
    ),
    "no samples to calibrate": (
        lambda: gp_emq.best_plan(bad.made(), INPUTS, average_bits=4, calibration=0),
        "calibration must be a whole number from 1 on, not 0",
    ),
    "one width to choose from": (
        lambda: gp_emq.best_plan(bad.made(), INPUTS, average_bits=4, bits=4), "must be whole",
    ),
    "a number as proxy": (lambda: gp_emq.load_proxy(7), "not int"),
    "a table of a model": (
        lambda: gp_emq.load_proxy("fit").table(bad.made()), "collect_statistics gives, not of Seq",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(*case, id=name)
        for cases in (SAMPLES, TARGETS, FEEDING, JUDGES, CALLS)
        for name, case in cases.items()
    ],
)
def test_what_is_wrong_is_named_with_what_is_expected(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(GpEmqError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_widths_may_be_numbers_of_numpy() -> None:
    found = gp_emq.collect_statistics(bad.made(), INPUTS, bits=np.array([2, 4]))
    assert found.bits == (2, 4)
    assert (
        found.fingerprint == gp_emq.collect_statistics(bad.made(), INPUTS, bits=(2, 4)).fingerprint
    )


def test_tokens_stay_token_ids_whatever_they_come_in() -> None:
    model = Reader()
    pairs = TensorDataset(TOKENS, LABELS)
    found = [
        Workload(model, *given)
        for given in (
            (TOKENS, LABELS),
            ((TOKENS, LABELS),),
            ((TOKENS.numpy(), LABELS.numpy()),),
            (pairs,),
            (DataLoader(pairs, batch_size=5),),
            ([(TOKENS[:4], LABELS[:4]), (TOKENS[4:], LABELS[4:])],),
            ([TOKENS[:4], TOKENS[4:]], LABELS),
            (list(TOKENS), LABELS),
        )
    ]
    with torch.no_grad():
        right = model(TOKENS).argmax(dim=1) == LABELS
    for workload in found:
        assert workload.samples.dtype == torch.int64
        assert torch.equal(workload.samples, TOKENS)
        assert torch.equal(workload.measured(5), right)
    assert len({gp_emq.collect_statistics(w, bits=(2, 4)).fingerprint for w in found}) == 1
    assert set(whole(found[0])) == {"letters", "last"}
    assert Workload(model, TOKENS.int()).samples.dtype == torch.int32


def test_several_inputs_come_in_batches_without_a_forward() -> None:
    model = TwoInputs().eval()
    halves = [{name: values[part] for name, values in dicts().items()}
              for part in (slice(0, 5), slice(5, N))]  # fmt: skip
    with torch.no_grad():
        right = model(FIRST, SECOND).argmax(dim=1) == LABELS
    for batches in (
        ((FIRST, SECOND), LABELS),
        [(halves[0], LABELS[:5]), (halves[1], LABELS[5:])],
        ([[FIRST[part], SECOND[part]], LABELS[part]] for part in (slice(0, 5), slice(5, N))),
    ):
        assert torch.equal(Workload(model, batches).measured(7), right)
    for batches in (halves, iter(halves)):
        assert torch.equal(Workload(model, batches).samples["one"], FIRST)


def test_networks_in_half_are_computed_in_float() -> None:
    judge = {"loss": bad.squared, "metric": bad.SQUARED}
    half = Workload(bad.made().half(), (INPUTS.half(), WANTED), **judge)
    double = Workload(bad.made().half().double(), (INPUTS.half().double(), WANTED), **judge)
    torch.testing.assert_close(half.measured(4), double.measured(4))
    assert whole(half) == whole(double)


PICTURE_NETWORK = "--network bad_workloads:picture_network"
ASKED = ["--proxy", "fit", "--average-bits", "3", "--no-plot", "--no-cache", "--baselines", "none"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("plans") / "plan.json")
    assert allocate(["--workload", "bad_workloads:good", *ASKED, "--out", path]) == 0
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run, and whose modules they find."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def refused(command: Callable[[list[str]], int | None], line: list[str], capsys) -> str:
    """The one line that a command says, which ends with status 2 and writes nothing else."""
    capsys.readouterr()
    assert exit_status(lambda: command(line)) == 2
    said, errors = capsys.readouterr()
    assert said == ""
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    return errors


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad_workloads", "must be package.module:function"),
        ("bad_workloads:absent", "no workload 'bad_workloads:absent': module"),
        ("no_such_module:x", "No module named 'no_such_module'"),
        (".bad_workloads:good", "is relative"),
        ("raising:x", "module raising fails: ZeroDivisionError: division by zero"),
        ("misspelt:x", "module misspelt fails: SyntaxError: "),
        ("leaving:x", "module leaving ends the program, with status 7"),
        ("importing:x", "No module named 'no_such_package'"),
        ("bad_workloads:NUMBER", "is int: it must be a function that returns a gp_emq.Workload"),
        ("bad_workloads:nothing", "returned NoneType, not a gp_emq.Workload"),
        ("bad_workloads:made", "returned Sequential, not a gp_emq.Workload"),
        ("bad_workloads:wants_more", "fails: TypeError: wants_more() missing"),
        ("bad_workloads:failing", "fails: ZeroDivisionError: by"),
        ("bad_workloads:leaving", "ends the program, with status 5"),
        ("bad_workloads:far_labels", "labels must be 0 to 2"),
    ],
)
def test_commands_say_what_is_wrong_with_a_name(
    name: str, message: str, plan: str, here: Path, capsys
) -> None:
    for module, text in {
        "raising": "1 / 0", "misspelt": "def x(:", "leaving": "raise SystemExit(7)",
        "importing": "import no_such_package",
    }.items():  # fmt: skip
        (here / f"{module}.py").write_text(f"{text}\n")
    before = sorted(here.iterdir())
    lines = {
        allocate: ASKED,
        quantize: ["--plan", plan, "--no-cache"],
        bench: ["build", "--configs", "6", "--out", "own.bench", "--quiet"],
    }
    for command, line in lines.items():
        first, rest = (line[:1], line[1:]) if command is bench else ([], line)
        assert message in refused(command, [*first, "--workload", name, *rest], capsys)
    left = [path for path in here.iterdir() if path.name != "__pycache__"]
    assert sorted(left) == before


@pytest.mark.parametrize(
    ("function", "message", "commands"),
    [
        ("failing_loss", "the loss fails on", [allocate]),
        ("failing_metric", "metric own fails on", [quantize, bench]),
        ("no_number", "metric own is not a number", [quantize, bench]),
        ("in_words", "got str", [quantize, bench]),
        ("without_metric", "top-1 needs labels", [quantize, bench]),
    ],
)
def test_commands_say_what_is_wrong_with_a_loss_or_a_metric(
    function: str, message: str, commands: list[Callable], plan: str, capsys
) -> None:
    own = ["--workload", f"bad_workloads:{function}"]
    lines = {
        allocate: [*own, *ASKED],
        quantize: [*own, "--plan", plan, "--no-cache"],
        bench: ["build", *own, "--configs", "6", "--out", "own.bench", "--quiet"],
    }
    for command in commands:
        assert message in refused(command, lines[command], capsys)
    assert not Path("own.bench").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--network bad_workloads:failing", "bad_workloads:failing fails: ZeroDivisionError: by"),
        ("--network bad_workloads:leaving", "ends the program, with status 5"),
        ("--network bad_workloads:NUMBER", "is int: it must be a function that returns a torch"),
        ("--network bad_workloads:nothing", "returned NoneType, not a torch.nn.Module"),
        ("--network bad_workloads:flat_network", "gave the input shape 6, not (C, H, W)"),
        (
            "--network bad_workloads:picture_network",
            "give its images as data, an .npz of x float32",
        ),
        (f"{PICTURE_NETWORK} --data pixels.npz", "x is uint8, pixels"),
        (
            "--network bad_workloads:picture_network --data grey.npz",
            "(1, 8, 8), but bad_workloads:",
        ),
        (f"{PICTURE_NETWORK} --data other.npz", "it has no x"),
        (f"{PICTURE_NETWORK} --data far.npz", "labels must be 0 to 4"),
        (
            "--network bad_workloads:picture_network --data few.npz",
            "y has shape (3,), but there are",
        ),
        (f"{PICTURE_NETWORK} --data none.npz", "there is no such file"),
    ],
)
def test_commands_say_what_is_wrong_with_networks_and_files(
    arguments: str, message: str, here: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("GP_EMQ_DATA", str(here))
    np.savez("pixels.npz", x=np.zeros((N, 8, 8, 3), np.uint8), y=np.zeros(N, np.int64))
    np.savez("grey.npz", x=np.zeros((N, 1, 8, 8), np.float32))
    np.savez("other.npz", images=PICTURES.numpy())
    np.savez("far.npz", x=PICTURES.numpy(), y=CLASSES.numpy() + 4)
    np.savez("few.npz", x=PICTURES.numpy(), y=CLASSES.numpy()[:3])
    assert message in refused(allocate, [*arguments.split(), *ASKED], capsys)


def test_a_search_says_that_a_bench_is_of_another_workload(tmp_path: Path, capsys) -> None:
    built, out = str(tmp_path / "own.bench"), str(tmp_path / "run")
    own = ["--workload", "bad_workloads:good"]
    assert bench(["build", *own, "--configs", "6", "--out", built, "--quiet"]) in (0, None)
    line = ["--bench", built, "--gens", "1", "--pop", "6", "--out", out, "--quiet"]
    assert "bad_workloads:good" in refused(run, line, capsys)
    for function, message in {
        "failing_loss": "the loss fails on", "nothing": "returned NoneType"
    }.items():  # fmt: skip
        other = [*line, "--workload", f"bad_workloads:{function}"]
        assert message in refused(run, other, capsys)
