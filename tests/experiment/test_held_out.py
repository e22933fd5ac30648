"""What is held out are networks: a search reads no bench of a test network, a ranking does."""

from dataclasses import replace

import pytest

import gp_emq
from gp_emq import run as command
from gp_emq.command import exit_status
from gp_emq.errors import NetworkError
from gp_emq.mqbench import load_bench, write_bench


def test_a_search_refuses_a_bench_of_a_test_network(tmp_path, capsys) -> None:
    given = "--bench", "mobilenet_v2-imagenet600-rtn", "--out", str(tmp_path / "run")
    assert exit_status(lambda: command.main(list(given))) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: bench 'mobilenet_v2-imagenet600-rtn' is of mobilenet_v2, which")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_another_name_of_the_file_changes_nothing(tmp_path) -> None:
    path = tmp_path / "mine.safetensors"
    write_bench(replace(load_bench("digits"), name="mine", network="dense-digits"), path)
    with pytest.raises(NetworkError, match="bench 'mine' is of dense-digits, which is a test net"):
        gp_emq.search(str(path), generations=1, population=4)
