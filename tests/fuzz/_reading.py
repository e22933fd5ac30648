"""How the package reads what it is handed."""

from copy import deepcopy
from pathlib import Path

from analysis._run_data import bench_of, best_individual, pareto_front
from gp_emq.cli._qat import read_qat
from gp_emq.cli._run import _configuration
from gp_emq.cli._run_parser import run_parser
from gp_emq.experiment import RunConfiguration
from gp_emq.export import load_quantized, read_record
from gp_emq.mqbench import describe_bench, model_sizes, read_bench
from gp_emq.mqbench._form import Form
from gp_emq.mqbench._origin import origin_of
from gp_emq.mqbench._partial import partial_results
from gp_emq.networks._weights import load_weights
from gp_emq.options import options_from_file
from gp_emq.proxies.loading import load_proxy
from gp_emq.qat._samples import FileImages
from gp_emq.quantization import LearnedRoundings
from gp_emq.statistics import open_statistics
from gp_emq.store import RunStore

from . import _samples as sample


def weights(path: Path) -> None:
    load_weights(deepcopy(sample.network()), path)


def partial(path: Path) -> None:
    with partial_results(path, "f", "c", entries=2, form=Form(12)):
        pass


def rounding(path: Path) -> None:
    LearnedRoundings(path.parent).get("layer", {"w": (2, 3)})


def bench(path: Path) -> None:
    found = read_bench(path)
    origin_of(found)
    describe_bench(found)
    model_sizes(found)


def quantized(path: Path) -> None:
    read_record(path)
    load_quantized(path, sample.network())


def hall_of_fame(path: Path) -> None:
    _ = load_proxy(path).needs


def picture(path: Path) -> None:
    FileImages([(path, 0)]).fetch(0)


def store(path: Path) -> None:
    with RunStore.open(path.parent) as opened:
        RunConfiguration.from_json(opened.meta("config"))
        opened.meta_as("bench", dict)
        opened.individuals()
        opened.generations()
        opened.ancestry(3)
        bench_of(opened)
        best_individual(opened)
        pareto_front(opened)


def run_options(path: Path) -> None:
    line = options_from_file(["--config", str(path)], switches=("screening", "prioritisation"))
    _configuration(run_parser().parse_args(line))


def training_options(path: Path) -> None:
    read_qat(["--bits", "4", "--network", "digits", "--config", str(path)])


def statistics(path: Path) -> None:
    opened = open_statistics(path.parent)
    opened.tensor("weight")
    opened.layout("Activations")
