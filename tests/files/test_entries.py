"""Entries of caches: what is damaged, or of something else, is computed again."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gp_emq.files import entry_of, open_entry, read_entry, write_entry
from gp_emq.networks import find_layers
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq import quantize
from gp_emq.quantization import LearnedRoundings
from gp_emq.statistics import collect_statistics


@given(content=st.binary(max_size=200), key=st.text(max_size=40), data=st.data())
def test_an_entry_is_believed_only_whole_and_under_its_key(content, key, data) -> None:
    whole = entry_of(key, content)
    assert open_entry(whole, key) == content
    assert open_entry(whole, key + "x") is None
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    assert open_entry(bytes(flipped), key) is None
    assert open_entry(whole[:place], key) is None
    assert open_entry(whole + b"x", key) is None


def test_an_entry_is_written_with_its_folder_and_read_back(tmp_path) -> None:
    path = tmp_path / "deep" / "folder" / "entry"
    assert read_entry(path, "key") is None
    write_entry(path, "key", b"content")
    assert read_entry(path, "key") == b"content"
    assert read_entry(path, "other") is None
    assert [item.name for item in path.parent.iterdir()] == ["entry"]


def flip(path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(108, 4)
        )
    return model.eval(), torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_flipped_bit_in_learned_rounding_changes_no_weight(network, tmp_path) -> None:
    model, images = network
    widths = {"0": 2, "3": 3}

    def integers():
        made = quantize(model, widths, images, method="adaround", iterations=3, cache=tmp_path)
        return {name: weight.integers.clone() for name, weight in made.weights.items()}

    right = integers()
    files = sorted(tmp_path.glob("roundings/*/*.safetensors"))
    assert len(files) == 2
    for path in files:
        before = path.read_bytes()
        flip(path)
        found = integers()
        assert all(torch.equal(found[name], right[name]) for name in right)
        assert path.read_bytes() == before


def test_learned_rounding_of_another_layer_is_not_taken(tmp_path) -> None:
    kept = LearnedRoundings(tmp_path / "one")
    kept.put("a", {"w": torch.zeros(2, dtype=torch.int16)})
    for place in (kept.folder / "b.safetensors", tmp_path / "other" / "a.safetensors"):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes((kept.folder / "a.safetensors").read_bytes())
    assert kept.get("a", {"w": (2,)}) is not None
    assert kept.get("b", {"w": (2,)}) is None
    assert LearnedRoundings(tmp_path / "other").get("a", {"w": (2,)}) is None
    assert kept.get("a", {"w": (3,)}) is None


def test_an_edited_table_is_computed_again(network, tmp_path) -> None:
    model, images = network
    statistics = collect_statistics(model, images, bits=(2, 3), cache=tmp_path)
    proxy = load_proxy("mse")
    right = proxy.table(statistics, cache=tmp_path)
    (path,) = tmp_path.glob("*/tables/*.json")
    line, _, text = path.read_text().partition("\n")
    place = next(k for k, digit in enumerate(text) if digit in "12345678")
    edited = f"{line}\n{text[:place]}{int(text[place]) + 1}{text[place + 1 :]}"
    path.write_text(edited)
    assert np.array_equal(proxy.table(statistics, cache=tmp_path), right)
    assert path.read_text() != edited


def test_a_table_made_by_other_code_is_computed_again(network, tmp_path, monkeypatch) -> None:
    model, images = network
    statistics = collect_statistics(model, images, bits=(2, 3), cache=tmp_path)
    proxy = load_proxy("mse")
    proxy.table(statistics, cache=tmp_path)
    monkeypatch.setattr("gp_emq.proxies._kept.code_sha256", lambda *_: "edited")
    monkeypatch.setattr(type(proxy), "_values", lambda *_: np.full((2, 2), 7.0))
    assert (proxy.table(statistics, cache=tmp_path) == 7).all()


def test_statistics_collected_by_other_code_have_another_fingerprint(network, monkeypatch) -> None:
    model, images = network
    before = collect_statistics(model, images, bits=(2, 3)).fingerprint
    assert collect_statistics(model, images, bits=(2, 3)).fingerprint == before
    monkeypatch.setattr("gp_emq.statistics._header.code_sha256", lambda *_: "edited")
    assert collect_statistics(model, images, bits=(2, 3)).fingerprint != before


def test_roundings_learned_by_other_code_are_learned_again(network, tmp_path, monkeypatch) -> None:
    model, images = network
    assert len(find_layers(model, images[:1])) == 2
    for code in ("one", "two", "one"):
        monkeypatch.setattr("gp_emq.ptq._task.code_sha256", lambda *_, code=code: code)
        quantize(model, {"0": 2}, images, method="adaround", iterations=2, cache=tmp_path)
    assert len(list(tmp_path.glob("roundings/*"))) == 2
