import pytest

from gp_emq import bench


def test_uniform_widths_are_measured(monkeypatch, capsys):
    arguments = "uniform --network digits --protocol rtn --bits 2,8 --calibration-images 64"
    monkeypatch.setattr("sys.argv", ["bench", *arguments.split(), "--test-images", "400"])
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["float", "2", "8"]
    floating, two, eight = (float(line.split()[-2]) for line in lines)
    assert eight == pytest.approx(floating, abs=1.5)
    assert two < floating - 20
