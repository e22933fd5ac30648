"""Runs on the tiny bench, within this process."""

from pathlib import Path

import pytest
from tiny_runs import CONFIGURATION, patch_setting

from gp_emq.experiment import Execution, Result, run


@pytest.fixture
def on_tiny(tiny, monkeypatch):
    """Runs find the tiny bench, whatever the name."""
    patch_setting(tiny, monkeypatch)
    return tiny


@pytest.fixture
def start(on_tiny):
    """Start or take up a run of three generations."""

    def started(folder: Path, *, configuration=CONFIGURATION, **execution) -> Result:
        options = {"generations": 3, "figures": False, "quiet": True, **execution}
        return run(configuration, Execution(folder=folder, **options))

    return started
