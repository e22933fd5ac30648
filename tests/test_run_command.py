"""``python -m gp_emq.run``: what it prints, what it leaves, and how it ends."""

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Forked

import gp_emq.run as command
from gp_emq.command import exit_status
from gp_emq.errors import GpEmqError
from gp_emq.experiment import WITHOUT_A_BENCH, Result, RunConfiguration
from gp_emq.farm import FarmSettings
from gp_emq.mqbench import load_bench
from gp_emq.networks.zoo import part_of
from gp_emq.networks.zoo._split import SEARCH
from gp_emq.store import RunStore, read_hall_of_fame
from primitives import primitive_set_names

ROOT = Path(__file__).parents[1]
SMALL = ("--bench", "digits", "--gens", "4", "--pop", "8", "--no-figures", "--quiet")


def run_in_this_process(*arguments: str | Path) -> int:
    return exit_status(lambda: command.main([str(argument) for argument in arguments]))


def wait_for_generations(folder: Path, count: int, process: Forked) -> None:
    """Wait until a run has committed so many generations."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if (folder / "store.sqlite").exists():
            with sqlite3.connect(f"file:{folder / 'store.sqlite'}?mode=ro", uri=True) as store:
                try:
                    (found,) = store.execute("SELECT count(*) FROM generations").fetchone()
                except sqlite3.OperationalError:
                    found = 0
            store.close()
            if found >= count:
                return
        time.sleep(0.002)
    pytest.fail(f"the run ended too soon: {process.communicate()}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A small run on the digits bench that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert run_in_this_process(*SMALL, "--out", folder) == 0
    return folder


def hall_of_fame(folder: Path) -> bytes:
    return (folder / "hall_of_fame.json").read_bytes()


class TestTheSameRun:
    @pytest.mark.slow
    def test_jobs_and_hash_seed_change_nothing_and_quiet_runs_print_nothing(
        self, undisturbed, tmp_path
    ) -> None:
        other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
        done = subprocess.run(
            [sys.executable, "-m", "gp_emq.run", *SMALL, "--jobs", "2", "--out", tmp_path / "run"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": other},
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert hall_of_fame(tmp_path / "run") == hall_of_fame(undisturbed)

    @pytest.mark.slow
    def test_a_killed_run_resumes_to_the_same(self, undisturbed, tmp_path) -> None:
        process = Forked(["gp_emq.run", *SMALL, "--out", tmp_path / "run"])
        wait_for_generations(tmp_path / "run", 2, process)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert run_in_this_process("--resume", tmp_path / "run", "--no-figures", "--quiet") == 0
        assert hall_of_fame(tmp_path / "run") == hall_of_fame(undisturbed)
        with RunStore.open(tmp_path / "run") as one, RunStore.open(undisturbed) as other:
            assert one.meta("summary") == other.meta("summary")

    @pytest.mark.slow
    def test_after_ctrl_c_a_run_says_how_to_resume_and_then_comes_to_the_same(
        self, undisturbed, tmp_path
    ) -> None:
        process = Forked(["gp_emq.run", *SMALL, "--out", tmp_path / "run"])
        wait_for_generations(tmp_path / "run", 2, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
        assert process.returncode == 130
        assert out == ""
        notice, line = err.split("\n")[1:-1]
        assert notice == "stopping after this generation; Ctrl-C again stops at once"
        read_hall_of_fame(tmp_path / "run")
        hint = re.search(r"Resume with: python -m gp_emq\.run (.*)$", line)
        assert hint
        assert run_in_this_process(*shlex.split(hint.group(1)), "--no-figures", "--quiet") == 0
        assert hall_of_fame(tmp_path / "run") == hall_of_fame(undisturbed)

    def test_a_resumed_run_has_the_generations_it_was_to_have(self, undisturbed) -> None:
        before = hall_of_fame(undisturbed)
        assert run_in_this_process("--resume", undisturbed, "--no-figures", "--quiet") == 0
        assert hall_of_fame(undisturbed) == before
        with RunStore.open(undisturbed) as store:
            assert store.last_generation().generation == 4


def test_a_run_ends_with_its_findings(tmp_path, capsys, monkeypatch) -> None:
    drawn = []

    def draw(folder: Path, *, quiet: bool = False) -> tuple[Path, ...]:
        drawn.append(folder)
        return (folder / "figures" / "convergence.png",)

    monkeypatch.setattr("analysis.make_figures", draw)
    folder = tmp_path / "run"
    line = ("--bench", "digits", "--gens", "1", "--pop", "6")
    assert run_in_this_process(*line, "--out", folder) == 0
    shown = capsys.readouterr()
    hall, bench = read_hall_of_fame(folder), load_bench("digits")
    for part in (
        "Pareto front", hall.best.formula, hall.best.expression, "random search", "sum of bits",
        "BParams", "95 % interval", str(len(bench.test)), str(folder),
        str(folder / "figures" / "convergence.png"),
    ):  # fmt: skip
        assert part in shown.out
    assert "evolving" in shown.err
    assert drawn == [folder]


class TestErrors:
    @pytest.fixture
    def refused(self, tmp_path, monkeypatch, capsys):
        """The one line that a command which cannot do its work prints."""
        monkeypatch.chdir(tmp_path)

        def told(*arguments: str | Path) -> str:
            before = sorted(tmp_path.rglob("*"))
            assert run_in_this_process(*arguments) == 2
            shown = capsys.readouterr()
            assert shown.out == ""
            (line,) = shown.err.splitlines()
            assert line.startswith("error: ")
            assert sorted(tmp_path.rglob("*")) == before
            return line

        return told

    def test_the_process_itself_ends_so(self, tmp_path) -> None:
        process = Forked(["gp_emq.run", "--gens", "0", "--out", tmp_path / "run"])
        out, err = process.communicate(timeout=100)
        assert process.returncode == 2
        assert out == ""
        assert err == (
            "error: argument --gens: must be a whole number of at least 1, got '0' (see --help)\n"
        )
        assert not (tmp_path / "run").exists()

    def test_an_unknown_bench(self, refused) -> None:
        line = refused("--bench", "digit")
        assert "'digit'" in line
        assert "digits" in line

    def test_an_unknown_primitive_set(self, refused) -> None:
        line = refused("--primitives", "bit_awar")
        assert "unknown primitive set 'bit_awar'; known are bit_aware, branched" in line

    def test_a_set_without_terminals_of_a_needed_type(self, refused, write_set) -> None:
        own = write_set(statistics=["depth"], operators=["mean"], ends_in_bits=True)
        assert "'mean' has nothing to act on; add a terminal of type" in refused(
            "--primitives", own
        )

    def test_a_set_file_that_fails(self, refused, tmp_path) -> None:
        (tmp_path / "mine.py").write_text("import nothing_of_that_name\n")
        assert "fails to load: ModuleNotFoundError" in refused("--primitives", "mine.py")

    def test_a_folder_that_cannot_be_written(self, refused, tmp_path) -> None:
        (tmp_path / "file").touch()
        assert "cannot write to the folder" in refused("--out", tmp_path / "file" / "run")

    def test_a_damaged_bench(self, refused, tmp_path) -> None:
        import gp_emq.mqbench

        content = (
            Path(gp_emq.mqbench.__file__).parent / "data" / "digits.safetensors"
        ).read_bytes()
        (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
        assert "cut.safetensors" in refused("--bench", tmp_path / "cut.safetensors")
        (tmp_path / "text.safetensors").write_text("no bench at all")
        assert "text.safetensors" in refused("--bench", tmp_path / "text.safetensors")

    def test_a_folder_that_is_no_run(self, refused, tmp_path) -> None:
        (tmp_path / "empty").mkdir()
        assert "is no run" in refused("--resume", tmp_path / "empty")
        assert "is no run" in refused("--resume", tmp_path / "absent")
        (tmp_path / "empty" / "store.sqlite").write_text("no database")
        line = refused("--resume", tmp_path / "empty")
        assert "damaged" in line or "is no run" in line

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ("--gens 0", "--gens: must be a whole number of at least 1, got '0'"),
            ("--gens 1.5", "--gens: must be a whole number of at least 1, got '1.5'"),
            ("--pop -3", "--pop: must be a whole number of at least 1, got '-3'"),
            ("--pop many", "--pop: must be a whole number of at least 1, got 'many'"),
            ("--jobs 0", "--jobs: must be a whole number of at least 1"),
            ("--max-depth 0", "--max-depth: must be"),
            ("--max-size inf", "--max-size: must be"),
            ("--crossover 1.1", "--crossover: must be a share between 0 and 1"),
            ("--crossover nan", "--crossover: must be a share between 0 and 1"),
            ("--time-limit 0", "--time-limit: must be a positive number of seconds"),
            ("--seed x", "--seed: must be a whole number of at least 0, got 'x'"),
            ("--selection best", "invalid choice: 'best'"),
            ("--devices tpu", "unknown device 'tpu'; available are cpu"),
            ("--backend mpi", "invalid choice: 'mpi'"),
            ("--task-timeout 0", "--task-timeout: must be a positive number of seconds"),
            ("--backend loky --scheduler tcp://far:1", "loky has no scheduler"),
            ("--bench-samples 1000", "--bench-samples must be at most that, got 1000"),
            ("--seed-proxies maen(weight)", "unknown operator 'maen'"),
            ("--seed-proxies mean(weight)", "must give BitTable"),
            ("--colour red", "unrecognized arguments: --colour red"),
            ("--config absent.toml", "cannot read the configuration absent.toml"),
        ],
    )
    def test_a_wrong_value_is_told_with_the_right_ones(self, arguments, complaint, refused) -> None:
        assert complaint in refused(*shlex.split(arguments))

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ("pop =", "is no TOML"),
            ("[search]\npop = 8", "gives 'search' a dict"),
            ("colour = 'red'", "unrecognized arguments: --colour red"),
            ("pop = 0", "--pop: must be a whole number of at least 1"),
            ("\ufeffpop = 8", "is no TOML"),
            ("when = 2020-01-01", "gives 'when' a date"),
        ],
    )
    def test_a_wrong_configuration_file(self, content, complaint, refused, tmp_path) -> None:
        (tmp_path / "run.toml").write_text(content, encoding="utf-8")
        assert complaint in refused("--config", "run.toml")

    def test_a_configuration_file_that_is_no_text(self, refused, tmp_path) -> None:
        (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
        assert "is no TOML" in refused("--config", "run.toml")

    def test_a_run_is_never_written_over(self, refused, undisturbed) -> None:
        line = refused("--out", undisturbed)
        assert "holds a run already" in line
        assert f"--resume {undisturbed}" in line

    def test_resuming_changes_nothing_that_defines_the_run(self, refused, undisturbed) -> None:
        line = refused("--resume", undisturbed, "--seed", "5")
        assert "has seed 0, which resuming cannot change to 5" in line
        assert "leave --out away" in refused("--resume", undisturbed, "--out", "elsewhere")


class TestOptions:
    @pytest.fixture
    def asked_for(self, monkeypatch, tmp_path):
        """What a command line asks for: the configuration and the execution."""
        monkeypatch.chdir(tmp_path)
        caught = []

        def fake_run(configuration, execution) -> Result:
            caught[:] = [configuration, execution]
            return Result(execution.folder, False, 0, None, "not started")

        monkeypatch.setattr("gp_emq.experiment.run", fake_run)

        def given(*arguments: str | Path):
            assert run_in_this_process(*arguments) == 130
            return tuple(caught)

        return given

    def test_without_options_a_run_is_the_documented_one(self, asked_for) -> None:
        configuration, execution = asked_for()
        assert configuration == RunConfiguration(**WITHOUT_A_BENCH)
        assert (execution.generations, execution.farm) == (100, FarmSettings())
        assert execution.time_limit is None
        assert execution.random_search
        assert execution.figures
        assert not execution.quiet

    def test_a_bench_that_is_named_is_searched_on_alone(self, asked_for) -> None:
        assert asked_for("--bench", "digits")[0] == RunConfiguration()
        assert asked_for("--network", "some.module:factory")[0].benches == ("digits",)

    def test_what_is_named_beside_no_bench_is_taken(self, asked_for) -> None:
        given = ("--validate-on", "digits", "--fitness", "tau", "--max-size", "9")
        found = asked_for(*given)[0]
        assert (found.validate_on, found.fitness, found.max_size) == (("digits",), "tau", 9)
        assert found.primitives == WITHOUT_A_BENCH["primitives"]
        assert len(found.benches) == 4

    def test_another_set_may_have_larger_trees(self, asked_for) -> None:
        found = asked_for("--primitives", "dag")[0]
        assert (found.primitives, found.max_size) == ("dag", RunConfiguration().max_size)
        assert found.fitness == WITHOUT_A_BENCH["fitness"]

    def test_no_network_is_held_out_of_those_without_a_bench(self) -> None:
        benches = RunConfiguration(**WITHOUT_A_BENCH).benches + WITHOUT_A_BENCH["validate_on"]
        networks = [load_bench(name).network for name in benches]
        assert {part_of(network) for network in networks} == {SEARCH}
        assert len(set(networks)) == len(benches)

    def test_a_file_gives_options_and_the_command_line_wins(self, asked_for, tmp_path) -> None:
        (tmp_path / "run.toml").write_text(
            """
            pop = 12
            gens = 7
            seed = 3
            selection = "emq"
            bench_samples = 50
            crossover = 0.25
            screening = false
            prioritisation = true
            no_figures = true
            quiet = false
            seed_proxies = ["bits", "quantization_mse"]
            """
        )
        configuration, execution = asked_for(
            "--seed", "4", "--config", "run.toml", "--gens", "9", "--selection", "random"
        )
        assert (configuration.seed, execution.generations) == (4, 9)
        assert configuration.selection == "random"
        assert (configuration.population, configuration.bench_samples) == (12, 50)
        assert configuration.crossover == 0.25
        assert not configuration.screening
        assert configuration.prioritisation
        assert configuration.seed_proxies == ("bits", "quantization_mse")
        assert not execution.figures
        assert not execution.quiet

    def test_flags_switch_parts_of_the_search_off(self, asked_for) -> None:
        configuration, execution = asked_for(
            "--no-screening", "--no-prioritisation", "--no-random-search", "--quiet"
        )
        assert not configuration.screening
        assert not configuration.prioritisation
        assert not execution.random_search
        assert execution.quiet

    def test_a_run_is_named_after_what_it_searches_and_never_twice_alike(
        self, asked_for, tmp_path, write_set
    ) -> None:
        def folder(*arguments: str) -> Path:
            return asked_for(*arguments)[1].folder

        assert folder() == Path("runs/networks-measured_invariant-diversity-equal-cost-seed0")
        digits = ("--bench", "digits")
        assert folder(*digits) == Path("runs/digits-bit_aware-diversity-seed0")
        (tmp_path / "runs" / "digits-bit_aware-diversity-seed0").mkdir(parents=True)
        assert folder(*digits) == Path("runs/digits-bit_aware-diversity-seed0-2")
        own = write_set(statistics=["quantization_mse"], operators=["abs"])
        assert folder(*digits, "--primitives", own, "--selection", "emq", "--seed", "7") == Path(
            "runs/digits-own-emq-seed7"
        )
        several = ("--bench", "digits", "resnet20-cifar10-rtn", "--fitness", "equal-cost")
        assert folder(*several) == Path(
            "runs/digits+resnet20-cifar10-rtn-bit_aware-diversity-equal-cost-seed0"
        )
        configuration = asked_for(*several)[0]
        assert configuration.benches == ("digits", "resnet20-cifar10-rtn")

    def test_files_are_found_again_from_anywhere(self, asked_for, tmp_path) -> None:
        (tmp_path / "mine.py").touch()
        configuration, _ = asked_for("--primitives", "mine.py", "--data", "images", "more")
        assert configuration.primitives == str(tmp_path / "mine.py")
        assert configuration.data == (str(tmp_path / "images"), str(tmp_path / "more"))

    def test_resuming_takes_the_stored_configuration(self, asked_for, undisturbed) -> None:
        configuration, execution = asked_for("--resume", undisturbed, "--gens", "11")
        assert configuration.population == 8
        assert execution.folder == undisturbed
        assert execution.generations == 11
        assert asked_for("--resume", undisturbed, "--pop", "8")[1].generations == 4

    def test_devices_are_those_there_are_and_of_one_kind(self, asked_for, monkeypatch) -> None:
        def devices(*given: str) -> tuple[str, ...]:
            return asked_for(*given)[1].farm.devices

        kinds = ["fast", "fast", "slow"]
        monkeypatch.setattr("torch.cuda.device_count", lambda: len(kinds))
        monkeypatch.setattr("torch.cuda.get_device_name", lambda index: kinds[index])
        assert devices() == ("cuda:0", "cuda:1")
        assert devices("--devices", "cuda:1,cuda:0") == ("cuda:1", "cuda:0")
        for mixed in ("cuda:1,cpu", "cuda:1,cuda:2"):
            with pytest.raises(GpEmqError, match=f"devices must be of one kind.*{mixed}"):
                command.main(["--devices", mixed])
        kinds.clear()
        assert devices() == ("cpu",)

    def test_devices_of_other_machines_are_not_looked_up_here(self, asked_for) -> None:
        farm = asked_for("--scheduler", "tcp://far:8786", "--devices", "cuda:0,cuda:3")[1].farm
        assert (farm.devices, farm.scheduler) == (("cuda:0", "cuda:3"), "tcp://far:8786")
        assert asked_for("--scheduler", "tcp://far:8786")[1].farm.devices == ("cpu",)


class TestLists:
    def test_primitive_sets_are_listed_with_their_descriptions(self, capsys) -> None:
        assert run_in_this_process("--list-primitives") == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == list(primitive_set_names())
        assert all(len(line.split()) > 4 for line in lines)

    def test_benches_are_listed(self, capsys) -> None:
        assert run_in_this_process("--list-benches") == 0
        assert "digits" in capsys.readouterr().out.split()

    def test_help_explains_every_option_in_its_group(self, capsys) -> None:
        assert run_in_this_process("--help") == 0
        text = capsys.readouterr().out
        for group in ("what to search", "how to search", "how long", "where", "what to show"):
            assert group in text
        for option in (
            "--gens", "--pop", "--bench", "--primitives", "--selection", "--seed", "--jobs",
            "--devices", "--bench-samples", "--max-depth", "--out", "--resume", "--time-limit",
            "--quiet", "--config", "--no-screening", "--no-prioritisation", "--list-primitives",
        ):  # fmt: skip
            assert re.search(rf"{option}\b", text)


def test_the_hall_of_fame_is_plain_json(undisturbed) -> None:
    content = json.loads(hall_of_fame(undisturbed))
    assert content["provenance"]["bench"] == "digits"
    assert content["provenance"]["generations"] == 4
    assert not re.search(r"second|date|time|jobs|path", hall_of_fame(undisturbed).decode())
