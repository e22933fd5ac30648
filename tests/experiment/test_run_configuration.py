"""A configuration is stored and read back, or refused in one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_emq.errors import RunError
from gp_emq.experiment import RunConfiguration

CONFIGURATIONS = st.builds(
    RunConfiguration,
    bench=st.text(),
    population=st.integers(1, 10**9),
    bench_samples=st.none() | st.integers(1, 10**9),
    crossover=st.floats(0, 1),
    screening=st.booleans(),
    seed_proxies=st.lists(st.text()).map(tuple),
    weights=st.none() | st.text(),
    data=st.lists(st.text()).map(tuple),
)


@given(configuration=CONFIGURATIONS)
def test_a_configuration_survives_json(configuration) -> None:
    text = json.dumps(configuration.to_json())
    assert RunConfiguration.from_json(json.loads(text)) == configuration


@pytest.mark.parametrize(
    "change",
    [lambda values: values.pop("seed"), lambda values: values.update(colour="red")],
    ids=["missing", "unknown"],
)
def test_another_versions_configuration_is_refused(change) -> None:
    values = RunConfiguration().to_json()
    change(values)
    with pytest.raises(RunError, match="damaged or of another version"):
        RunConfiguration.from_json(values)


def test_what_is_no_configuration_at_all_is_refused() -> None:
    with pytest.raises(RunError):
        RunConfiguration.from_json([1, 2])
