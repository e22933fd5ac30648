"""Training: what it gains, that it repeats to the last bit, and that a kill loses nothing."""

import copy
import csv
import doctest
from dataclasses import replace

import pytest
import torch
from torch import nn

from gp_emq.errors import TrainingError
from gp_emq.networks import find_layers
from gp_emq.qat import QatSettings, Samples, TensorImages, train, warm_start
from gp_emq.qat._checkpoint import CHECKPOINT_NAME, LOG_NAME
from gp_emq.qat._evaluation import evaluate
from gp_emq.qat._processes import joined_processes

SETTINGS = QatSettings(epochs=2, batch=32, learning_rate=0.02)


def state(quantized):
    """Everything a quantized model is made of, as tensors by name."""
    grids = {f"{name}.input": grid.scale for name, grid in quantized.activations.items()}
    scales = {f"{name}.scale": w.parameters.scale for name, w in quantized.weights.items()}
    return quantized.network.state_dict() | grids | scales


def assert_same(one, other) -> None:
    one, other = state(one), state(other)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.fixture(scope="module")
def trained(task, tmp_path_factory):
    """The result of an uninterrupted training, and its folder."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = train(*task.arguments(), settings=SETTINGS, folder=folder, test=task.test)
    return result, folder


def test_the_example_runs() -> None:
    (example,) = doctest.DocTestFinder().find(train, "train", globs={})
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.tries > 5
    assert runner.failures == 0


def test_two_bits_come_back_from_chance(task, trained) -> None:
    with joined_processes("cpu") as processes:
        before = evaluate(task.start, task.test, processes)
        after = evaluate(trained[0], task.test, processes)
    assert before < 0.3
    assert after > 0.8


def test_the_log_has_a_line_per_epoch(task, trained) -> None:
    with (trained[1] / LOG_NAME).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "8"), ("2", "16")]
    with joined_processes("cpu") as processes:
        last = evaluate(trained[0], task.test, processes)
    assert float(rows[-1]["test_accuracy"]) == last
    # The last of sixteen steps along half a cosine.
    assert float(rows[-1]["learning_rate"]) == pytest.approx(0.02 * 0.00960736, rel=1e-6)


def test_loading_processes_and_callers_randomness_change_nothing(task, trained) -> None:
    torch.manual_seed(17)
    before = torch.random.get_rng_state()
    again = train(*task.arguments(), settings=replace(SETTINGS, workers=2), test=task.test)
    assert_same(again, trained[0])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_is_another_training(task, trained) -> None:
    other = train(*task.arguments(), settings=replace(SETTINGS, seed=1))
    assert not torch.equal(other.network.conv1.weight, trained[0].network.conv1.weight)


class KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_result(task, trained, tmp_path) -> None:
    def kill(record) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train(*task.arguments(), settings=SETTINGS, folder=tmp_path, test=task.test, report=kill)
    epochs = []
    result = train(
        *task.arguments(), settings=SETTINGS, folder=tmp_path, test=task.test,
        report=lambda record: epochs.append(record.epoch),
    )  # fmt: skip
    assert epochs == [2]
    assert_same(result, trained[0])
    logs = []
    for folder in (tmp_path, trained[1]):
        with (folder / LOG_NAME).open(newline="") as file:
            logs.append([{**row, "seconds": ""} for row in csv.DictReader(file)])
    assert logs[0] == logs[1]


def test_a_completed_training_is_read_not_done_again(task, trained) -> None:
    epochs = []
    again = train(
        *task.arguments(), settings=SETTINGS, folder=trained[1], report=epochs.append,
    )  # fmt: skip
    assert not epochs
    assert_same(again, trained[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.03}, "learning rate is 0.02, not 0.03"),
        ({"epochs": 3}, "epochs is 2, not 3"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(task, trained, change, message) -> None:
    with pytest.raises(TrainingError, match=f"of another training: its {message}"):
        train(*task.arguments(), settings=replace(SETTINGS, **change), folder=trained[1])


def test_other_images_are_another_training(task, trained) -> None:
    source = task.samples.source
    fewer = Samples(TensorImages(source.images[:128], source.labels[:128]), task.samples.augment)
    with pytest.raises(TrainingError, match="training images is"):
        train(*task.arguments()[:4], fewer, settings=SETTINGS, folder=trained[1])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"\x80\x02cos\nsystem\n."])
def test_a_damaged_checkpoint_is_refused(task, tmp_path, content) -> None:
    (tmp_path / CHECKPOINT_NAME).write_bytes(content)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is no checkpoint, or is damaged"):
        train(*task.arguments(), settings=SETTINGS, folder=tmp_path)


def test_nothing_is_left_but_checkpoint_and_log(trained) -> None:
    assert {path.name for path in trained[1].iterdir()} == {CHECKPOINT_NAME, LOG_NAME}


def test_the_float_network_and_the_start_are_left_alone(task) -> None:
    network, start = copy.deepcopy(task.network.model.state_dict()), state(task.start)
    kept = {name: value.clone() for name, value in start.items()}
    settings = replace(SETTINGS, epochs=1, distillation=0.5, temperature=4.0)
    train(*task.arguments(), settings=settings)
    now = task.network.model.state_dict()
    assert all(torch.equal(value, network[name]) for name, value in now.items())
    assert all(torch.equal(value, kept[name]) for name, value in state(task.start).items())
    assert all(parameter.requires_grad for parameter in task.network.model.parameters())


def test_distillation_alone_needs_no_labels(task) -> None:
    """With labels that are all wrong, the teacher's outputs still teach the right ones."""
    source = task.samples.source
    wrong = TensorImages(source.images, (source.labels + 1) % 10)
    settings = replace(SETTINGS, distillation=1.0, temperature=4.0)
    result = train(*task.arguments()[:4], Samples(wrong, task.samples.augment), settings=settings)
    with joined_processes("cpu") as processes:
        assert evaluate(result, task.test, processes) > 0.8


def test_dropout_repeats_and_float_layers_train(tmp_path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(108, 4)
    ).eval()
    images, labels = torch.rand(16, 1, 8, 8), torch.randint(0, 4, (16,))
    layers = find_layers(model, images[:1])
    widths = {"0": 4, "4": 32}
    settings = QatSettings(epochs=2, batch=8)
    start = warm_start(model, layers, widths, images, settings)
    samples = Samples(TensorImages(images, labels))
    first, second = (
        train(model, layers, widths, start, samples, settings=settings) for _ in range(2)
    )
    assert_same(first, second)
    assert set(first.weights) == {"0"}
    assert not torch.equal(first.network[4].weight, model[4].weight)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            replace(SETTINGS, batch=257),
            "a batch of 257 needs as many training images: there are 256",
        ),
        (replace(SETTINGS, learning_rate=1e30), "loss of epoch 1 is not finite"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_line(task, settings, message) -> None:
    with pytest.raises(TrainingError, match=message):
        train(*task.arguments(), settings=settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"learning_rate": -0.1}, r"learning rate must be a positive number, not -0\.1"),
        ({"learning_rate": float("nan")}, "learning rate must be a positive number, not nan"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ({"warm_up": 2.0, "epochs": 2}, "warm up must be at least 0 and below 2 epochs"),
        ({"first_last_bits": 9}, "first last bits must be 2 to 8, not 9"),
        ({"activation_bits": 1}, "activation bits must be 2 to 8, not 1"),
        ({"precision": "float8"}, "precision must be float32, bfloat16, float16, not float8"),
        ({"distillation": 1.5}, "distillation must be 0 to 1"),
        ({"step_learning_rate": 0.0}, "step learning rate must be a positive number"),
    ],
)
def test_settings_out_of_range_are_named(change, message) -> None:
    with pytest.raises(TrainingError, match=message):
        QatSettings(**change)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_gpu_trains_in_every_precision(task, tmp_path, precision) -> None:
    settings = replace(SETTINGS, precision=precision, distillation=0.5)
    result = train(
        *task.arguments(), settings=settings, folder=tmp_path, test=task.test, device="cuda"
    )
    again = train(
        *task.arguments(), settings=settings, folder=tmp_path, test=task.test, device="cuda"
    )
    assert_same(result, again)
    with joined_processes("cpu") as processes:
        assert evaluate(result, task.test, processes) > 0.8


@pytest.mark.parametrize(
    "around", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_nothing_around_the_call_changes_what_is_learned(task, around) -> None:
    settings = replace(SETTINGS, epochs=1)
    right = train(*task.arguments(), settings=settings)
    with around():
        found = train(*task.arguments(), settings=settings)
    assert_same(found, right)
