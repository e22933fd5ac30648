import itertools

import pytest

from gp_emq import bench as bench_command
from gp_emq.errors import BenchError
from gp_emq.mqbench import load_bench, write_bench
from gp_emq.networks import network_specifications
from gp_emq.networks.zoo import ZOO, part_of
from gp_emq.networks.zoo._split import SPLIT
from gp_emq.zoo_benches import find_benches
from gp_emq.zoo_benches._roster import ROSTER

BARE = {"mobilenet_v2", "efficientnet_lite0", "resnet20", "resnet32", "digits"}


def test_names_are_those_of_networks_and_protocols_and_all_different(capsys) -> None:
    assert len({bench.name for bench in ROSTER}) == len(ROSTER) >= 30
    assert bench_command.main(["zoo", "--list"]) == 0
    listed = capsys.readouterr().out.split()
    assert listed == [bench.name for bench in ROSTER]
    assert "plain-digits-rtn-tensor" in listed
    assert "excite-cifar10-rtn-bn-channel" in listed


def test_a_bench_is_found_by_name_or_refused() -> None:
    (found,) = find_benches(["modern-digits-adaround-channel"])
    settings = found.settings()
    assert (settings.network, settings.protocol.name) == ("modern-digits", "adaround")
    assert settings.protocol.weights.per_channel
    assert find_benches([]) == ROSTER
    with pytest.raises(BenchError, match=r"no bench .plain-digits-rtn.: did you mean 'plain-"):
        find_benches(["plain-digits-rtn"])


def test_a_bench_that_is_there_is_told_and_not_measured(tmp_path, capsys, monkeypatch) -> None:
    name = "separable-digits-rtn-bn-channel"
    bench = load_bench(name)
    write_bench(bench, tmp_path / f"{name}.safetensors")
    monkeypatch.setattr("gp_emq.zoo_benches._building.build_bench", None)
    assert bench_command.main(["zoo", name, "--out", str(tmp_path), "--quiet"]) == 0
    seconds = bench.provenance["processor_seconds"]
    out = capsys.readouterr().out
    assert out.startswith(f"{name}: 240 configurations, mean {100 * bench.accuracies.mean():.1f} %")
    assert out.endswith(f"{seconds:.2f} processor seconds each\n")


def test_the_list_says_which_networks_are_held_out(capsys) -> None:
    assert bench_command.main(["list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["dense-digits-rtn-bn-tensor"].endswith("4000 test images, test network")
    assert lines["digits"].endswith("4000 test images, search network")


def test_every_network_of_the_zoo_is_in_one_part() -> None:
    named = [name for names in SPLIT.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) == {member.name for member in ZOO} | BARE
    registered = {specification.name for specification in network_specifications()}
    assert {bench.network for bench in ROSTER} <= {member.name for member in ZOO} | registered
    assert part_of("my.package:network") == ""


def test_no_kind_of_network_is_in_two_parts() -> None:
    kinds = {
        part: {name.rpartition("-")[0] for name in names if name not in BARE}
        for part, names in SPLIT.items()
    }
    for one, other in itertools.combinations(kinds.values(), 2):
        assert not one & other
