import numpy as np
from scipy import stats

from gp_emq.mqbench import bench_quality, load_bench, overview


def test_a_row_tells_what_a_bench_holds() -> None:
    bench = load_bench("digits")
    head, rule, row = overview([bench]).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert head.count("|") == rule.count("|") == row.count("|") == len(cells) + 1
    assert cells[:4] == ["`digits`", "`rtn`", "425, {2, 3, 4}", "4 × 1,000"]
    right = np.unpackbits(bench.correct, axis=1).mean(axis=1)
    assert cells[4] == (
        f"{100 * right.mean():.1f} %, {100 * right.min():.1f} to {100 * right.max():.1f}"
    )
    assert cells[5] == f"{100 * right.std(ddof=1):.2f} %"
    assert cells[8] == f"{bench_quality(bench).noise_ceiling:.3f}"
    tau = stats.kendalltau(bench.configurations.sum(axis=1), right).statistic
    assert cells[10:] == [f"{tau:.2f}", "–"]
