import numpy as np
import pytest

from gp_emq.correlation import kendall_tau
from gp_emq.store import BenchRow, GenerationRow, IndividualRow, RunStore

ENTRIES, BITS = 20, (2, 3, 4)
PARAMETERS = np.arange(1, ENTRIES + 1, dtype=np.int64) * 100
UNARY = ("abs", "square", "sqrt", "log_abs", "sigmoid", "relu", "negate")
REASONS = ("equivalent to one seen", "not finite", "duplicate table", "too large",
           "constant scores", "too deep", "rounding noise", "no statistic")  # fmt: skip


class SyntheticRun:
    """Writes a store like that of a search, from tables that drift towards the truth."""

    def __init__(self, folder, *, seed, inherit=True, population=24, sized=True):
        self.random = np.random.default_rng(seed)
        self.inherit, self.population = inherit, population
        bench = np.random.default_rng(7)
        self.configurations = bench.choice(BITS, (425, ENTRIES)).astype(np.int8)
        worth = bench.gamma(0.8, 1.0, ENTRIES)
        self.truth = worth[:, None] * -(4.0 ** -np.array(BITS, dtype=float)) * 30
        clean = self.score(self.truth)
        noise = bench.normal(0, 0.35 * clean.std(), len(clean))
        self.accuracies = np.round(0.7 + 0.05 * (clean + noise - clean.mean()) / clean.std(), 4)
        self.split = np.repeat([0, 1, 2], (212, 64, 149)).astype(np.int8)
        bench.shuffle(self.split)
        self.store = RunStore.create(
            folder,
            {
                "config": {"primitives": "bit_aware", "seed": seed, "generations": 60},
                "bench": {"name": "digits", "sha256": "ab" * 32},
                "statistics_sha256": "cd" * 32,
                "versions": {"torch": "2.13.0"},
                "entry_names": [f"stage{e // 7 + 1}.block{e % 7 // 2}.conv{e % 2 + 1}"
                                for e in range(ENTRIES)],
            },
            {
                "configurations": self.configurations,
                "accuracies": self.accuracies,
                "split": self.split,
                "bits": np.array(BITS, dtype=np.int8),
                **({"parameters": PARAMETERS} if sized else {}),
            },
        )  # fmt: skip
        self.rows: dict[int, IndividualRow] = {}
        self.members: list[int] = []
        self.evaluations = self.proposals = 0

    def score(self, table):
        return table[np.arange(ENTRIES), self.configurations.astype(int) - 2].sum(axis=1)

    def tau(self, table, part):
        chosen = self.split == part
        return kendall_tau(self.score(table)[chosen], self.accuracies[chosen])

    def expression(self, parents):
        if not parents:
            inner = self.random.choice(["weight", "fisher_diagonal", "weight_gradient"])
            return f"mean(multiply({inner}, square(quantization_perturbation)))"
        longest = max((self.rows[p].expression for p in parents), key=len)
        operator = UNARY[self.random.integers(len(UNARY))]
        return (
            f"{operator}({longest})" if len(longest) < 160 else longest[longest.index("(") + 1 : -1]
        )

    def table(self, parents):
        noise = self.random.normal(0, 1, (ENTRIES, len(BITS))) * np.array([1.0, 0.4, 0.2])
        if not parents:
            return noise * 1.5 + 0.35 * self.truth * self.random.uniform(0.3, 1.2)
        mixed = sum(self.rows[p].oriented_tables[0] for p in parents) / len(parents)
        return mixed + 0.12 * noise + 0.03 * self.truth

    def propose(self, generation, place, attempt, operator, reason):
        parents = ()
        if operator in {"crossover", "mutation"}:
            count = 2 if operator == "crossover" else 1
            fittest = sorted(self.members, key=lambda id_: -self.rows[id_].training_tau)
            chosen = self.random.choice(fittest[: len(fittest) // 2], count, replace=False)
            parents = tuple(int(id_) for id_ in chosen)
        expression = self.expression(parents)
        facts = {}
        if reason is None:
            table = self.table(parents)
            tau = self.tau(table, 0)
            sign = 1 if tau >= 0 else -1
            facts = {
                "training_tau": sign * tau,
                "validation_tau": sign * self.tau(table, 1),
                "sign": sign,
                "benches": (BenchRow("made up", sign * tau, sign * self.tau(table, 1), table),),
            }
            self.evaluations += 1
        self.proposals += 1
        row = IndividualRow(
            id=self.proposals, generation=generation, place=place, attempt=attempt,
            operator=operator, parents=parents, expression=expression, canonical=expression,
            size=expression.count("(") + expression.count(",") + 1, depth=expression.count("("),
            reason=reason, seconds=0.01, **facts,
        )  # fmt: skip
        self.rows[row.id] = row
        return row

    def operator(self, generation, place):
        if generation == 0:
            return "seed" if place < 5 else "fresh"
        if not self.inherit:
            return "fresh"
        return str(self.random.choice(["crossover", "mutation", "fresh"], p=[0.5, 0.45, 0.05]))

    def generation(self, number):
        proposed, rejections = [], {}
        for place in range(self.population):
            operator, attempt = self.operator(number, place), 0
            while operator != "seed" and self.random.random() < 0.42:
                weights = np.array([0.4, 0.2, 0.15, 0.1, 0.06, 0.05, 0.03, 0.01])
                reason = str(self.random.choice(REASONS, p=weights))
                rejections[reason] = rejections.get(reason, 0) + 1
                proposed.append(self.propose(number, place, attempt, operator, reason))
                attempt += 1
            proposed.append(self.propose(number, place, attempt, operator, None))
        candidates = self.members + [row.id for row in proposed if row.accepted]
        candidates.sort(key=lambda id_: (-self.rows[id_].training_tau, id_))
        self.members = candidates[: self.population]
        taus = [self.rows[id_].training_tau for id_ in self.members]
        self.store.commit_generation(
            proposed,
            GenerationRow(
                generation=number, population=tuple(self.members), best_training=taus[0],
                median_training=float(np.median(taus)),
                best_validation=self.rows[self.members[0]].validation_tau,
                diversity=float(0.2 + 0.5 * np.exp(-number / 15) + self.random.normal(0, 0.015)),
                evaluations=self.evaluations, proposals=self.proposals, rejections=rejections,
                seconds=0.4,
            ),
        )  # fmt: skip

    def summarise(self):
        evaluated = [row for row in self.rows.values() if row.training_tau is not None]
        front: list[IndividualRow] = []
        for row in sorted(evaluated, key=lambda row: (row.size, -row.training_tau)):
            if not front or row.training_tau > front[-1].training_tau:
                front.append(row)
        best = front[-1]
        self.store.set_meta(
            "summary",
            {
                "best": best.id,
                "front": [row.id for row in front],
                "rows": [
                    {"name": "evolved", "training": best.training_tau,
                     "validation": best.validation_tau, "test": 0.71, "low": 0.66, "high": 0.75,
                     "size": best.size},
                    {"name": "sum of bits", "training": 0.41, "validation": 0.39, "test": 0.40,
                     "low": 0.33, "high": 0.47, "size": None},
                ],
                "protocol": "weights 2 to 4 bits, activations 8 bits",
                "evaluations": self.evaluations,
                "test_configurations": 149,
            },
        )  # fmt: skip
        return best


def write_run(folder, *, generations=40, seed=1, finished=True, random_search=True, sized=True):
    run = SyntheticRun(folder, seed=seed, sized=sized)
    with run.store:
        for number in range(generations):
            run.generation(number)
        if finished:
            run.summarise()
    if random_search:
        other = SyntheticRun(folder / "random_search", seed=seed + 1, inherit=False)
        with other.store:
            for number in range(generations // 4):
                other.generation(number)
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A run of 40 generations of 24 with its summary and a random search. Not to be changed."""
    return write_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="session")
def young_run(tmp_path_factory):
    """A run that has completed only its initial generation, and says nothing of sizes."""
    folder = tmp_path_factory.mktemp("young") / "run"
    return write_run(folder, generations=1, finished=False, random_search=False, sized=False)
