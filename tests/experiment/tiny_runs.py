"""What runs on the tiny bench share."""

from functools import partial

import pytest

from gp_emq.correlation import bootstrap_interval
from gp_emq.experiment import RunConfiguration

CONFIGURATION = RunConfiguration(bench="tiny", population=6, max_size=15, max_depth=5)


def patch_setting(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs find the tiny bench, whatever the name, and draw few bootstrap samples."""
    monkeypatch.setattr("gp_emq.experiment._setting.load_bench", lambda name: tiny.bench)
    monkeypatch.setattr(
        "gp_emq.experiment._collecting.bench_inputs", lambda bench, **_: tiny.inputs
    )
    monkeypatch.setattr(
        "gp_emq.experiment._summary.bootstrap_interval", partial(bootstrap_interval, resamples=20)
    )
