import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gp_emq.errors import StatisticsError
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import (
    STATISTICS,
    Statistics,
    collect_statistics,
    default_cache,
    open_statistics,
)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def collect(model: nn.Module, images: Tensor, cache: Path | None) -> Statistics:
    return collect_statistics(
        model, images, bits=(2, 3, 4), quantizer=WeightQuantizer(per_channel=True), cache=cache
    )


def folder_of(statistics: Statistics) -> Path:
    assert statistics.folder is not None
    return statistics.folder


def test_what_was_collected_opens_again_with_the_same_values(
    model: nn.Module, images: Tensor, cache: Path
) -> None:
    collected = collect(model, images, cache)
    collected.prepare(STATISTICS)
    opened = open_statistics(folder_of(collected))
    assert set(opened.names) == set(STATISTICS)
    assert opened.content_sha256(STATISTICS) == collected.content_sha256(STATISTICS)
    assert (opened.layers, opened.bits) == (collected.layers, collected.bits)
    assert opened.fingerprint == collected.fingerprint
    assert opened.layout("Activations") == collected.layout("Activations")
    assert torch.equal(opened.subsample().perturbation(), collected.subsample().perturbation())
    assert folder_of(opened) == folder_of(collected) == cache / collected.fingerprint


def test_a_second_collection_reads_what_the_first_computed(
    model: nn.Module, images: Tensor, cache: Path
) -> None:
    first = collect(model, images, cache)
    value = first.tensor("hessian_diagonal")
    second = collect(model, images, cache)

    def refuse(_module: nn.Module, _inputs: object) -> None:
        pytest.fail("the network was run")

    handle = model.register_forward_pre_hook(refuse)
    assert torch.equal(second.tensor("hessian_diagonal"), value)
    handle.remove()
    assert second.seconds["hessian_diagonal"] == pytest.approx(
        first.seconds["hessian_diagonal"], abs=1e-6
    )


def test_the_cache_does_not_change_a_value(model: nn.Module, images: Tensor, cache: Path) -> None:
    with_cache = collect(model, images, cache).content_sha256(STATISTICS)
    assert collect(model, images, None).content_sha256(STATISTICS) == with_cache


def damage_values(folder: Path) -> None:
    path = folder / "weight.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut_values(folder: Path) -> None:
    path = folder / "weight.npy"
    path.write_bytes(path.read_bytes()[:-8])


def damage_record(folder: Path) -> None:
    (folder / "weight.json").write_text("{")


def change_shape(folder: Path) -> None:
    np.save(folder / "weight.npy", np.zeros(3, np.float32))


def store_objects(folder: Path) -> None:
    np.save(folder / "weight.npy", np.array([{}]), allow_pickle=True)


DAMAGES = [damage_values, cut_values, damage_record, change_shape, store_objects]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_array_is_computed_again(
    model: nn.Module, images: Tensor, cache: Path, damage: object
) -> None:
    folder = folder_of(collected := collect(model, images, cache))
    value = collected.tensor("weight").clone()
    damage(folder)
    assert torch.equal(collect(model, images, cache).tensor("weight"), value)
    assert torch.equal(open_statistics(folder).tensor("weight"), value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_reader_reports_a_damaged_array_in_one_line(
    model: nn.Module, images: Tensor, cache: Path, damage: object
) -> None:
    folder = folder_of(collected := collect(model, images, cache))
    collected.tensor("weight")
    damage(folder)
    with pytest.raises(StatisticsError, match=r"weight\.npy is damaged.*collect again") as caught:
        open_statistics(folder).tensor("weight")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 0}', '{"format": 1}'])
def test_a_damaged_index_is_reported_by_readers_and_rewritten_by_collectors(
    model: nn.Module, images: Tensor, cache: Path, content: str
) -> None:
    folder = folder_of(collected := collect(model, images, cache))
    collected.tensor("weight")
    (folder / "index.json").write_text(content)
    with pytest.raises(StatisticsError, match=r"index\.json"):
        open_statistics(folder)
    collect(model, images, cache).tensor("depth")
    assert open_statistics(folder).fingerprint == collected.fingerprint


def test_a_folder_without_statistics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match=r"holds no statistics: no index\.json"):
        open_statistics(tmp_path)


def test_a_reader_names_what_there_is_when_something_was_not_collected(
    model: nn.Module, images: Tensor, cache: Path
) -> None:
    collected = collect(model, images, cache)
    collected.prepare(["depth", "perturbation"])
    opened = open_statistics(folder_of(collected))
    assert set(opened.names) == {"depth", "weight", "perturbation"}
    assert torch.equal(opened.perturbation(), collected.perturbation())
    with pytest.raises(StatisticsError, match="holds no 'macs'; it holds depth, weight"):
        opened.tensor("macs")


def test_writing_to_an_opened_tensor_leaves_the_file_alone(
    model: nn.Module, images: Tensor, cache: Path
) -> None:
    collected = collect(model, images, cache)
    value = collected.tensor("weight").clone()
    open_statistics(folder_of(collected)).tensor("weight").zero_()
    assert torch.equal(open_statistics(folder_of(collected)).tensor("weight"), value)


def test_collections_at_the_same_time_leave_a_whole_cache(
    model: nn.Module, images: Tensor, cache: Path
) -> None:
    names = ["weight", "depth", "bits", "macs", "quantization_mse"]
    # Built first: the collections share the model, whose forward passes would interfere.
    collections = [collect(model, images, cache) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        for _ in pool.map(lambda statistics: statistics.prepare(names), collections):
            pass
    folder = folder_of(collections[0])
    expected = collect(model, images, None).content_sha256(names)
    assert open_statistics(folder).content_sha256(names) == expected
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_an_unwritable_cache_is_one_line_that_names_the_way_out(
    model: nn.Module, images: Tensor, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StatisticsError, match=r"cannot write statistics to .*GP_EMQ_CACHE"):
        collect(model, images, blocked).tensor("depth")


def test_the_default_cache_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"
    monkeypatch.delenv("GP_EMQ_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "gp_emq"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "gp_emq"


def test_the_index_says_what_wrote_it(model: nn.Module, images: Tensor, cache: Path) -> None:
    collected = collect(model, images, cache)
    collected.tensor("depth")
    mark, _, content = (folder_of(collected) / "index.json").read_text().partition("\n")
    index = json.loads(content)
    assert mark.startswith("gp_emq entry 1 ")
    assert set(index["versions"]) == {"gp_emq", "torch"}
    assert index["bits"] == [2, 3, 4]
