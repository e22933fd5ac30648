"""The four lists of dependencies agree, and the licence is the one declared."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ("environment.yml", "environment-cuda.yml")
# What conda-forge calls the packages that have another name on the Python index.
CONDA_NAMES = {"pytorch-cpu": "torch", "pytorch-gpu": "torch", "matplotlib-base": "matplotlib"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def needed_by_runs() -> dict[str, Requirement]:
    return {canonicalize_name(r.name): r for r in map(Requirement, project()["dependencies"])}


def needed_by_extra(name: str) -> dict[str, Requirement]:
    extra = project()["optional-dependencies"][name]
    return {canonicalize_name(r.name): r for r in map(Requirement, extra)}


def needed_by_tests() -> dict[str, Requirement]:
    return needed_by_extra("test")


def needed_by_clusters() -> dict[str, Requirement]:
    return needed_by_extra("dask") | needed_by_extra("ray")


def needed_by_efficientnet() -> dict[str, Requirement]:
    return needed_by_extra("efficientnet")


def needed_by_real_models() -> dict[str, Requirement]:
    return needed_by_extra("models")


def needed_by_onnx_files() -> dict[str, Requirement]:
    return needed_by_extra("onnx")


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), "constraints.txt holds exact versions only"
    names = [canonicalize_name(name) for name, _ in pairs]
    assert len(set(names)) == len(names), "a package is pinned twice"
    return dict(zip(names, (version for _, version in pairs), strict=True))


def conda_requirements(name: str) -> dict[str, str]:
    """Package to range, of the plain list that an environment file is."""
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
    items = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    plain = [item for item in items if item[0].isalpha() and ":" not in item]
    found = {}
    for item in plain:
        package = item.split(">")[0].split("=")[0].split("<")[0].strip()
        found[CONDA_NAMES.get(package, package)] = item[len(package) :].strip()
    return found


@pytest.mark.parametrize(
    "requirements",
    [
        needed_by_runs,
        needed_by_tests,
        needed_by_clusters,
        needed_by_onnx_files,
        needed_by_efficientnet,
        needed_by_real_models,
    ],
)
def test_every_range_admits_the_pinned_version(requirements) -> None:
    versions = pins()
    for name, requirement in requirements().items():
        assert name in versions, f"{name} is in pyproject.toml but not in constraints.txt"
        assert requirement.specifier.contains(versions[name], prereleases=True), name


def test_what_the_dependencies_bring_along_is_pinned_too() -> None:
    versions = pins()
    open_names = [*needed_by_runs(), *needed_by_tests()]
    seen: set[str] = set()
    while open_names:
        name = canonicalize_name(open_names.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            brought = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed, so its dependencies are unknown")
        needed = [r for r in map(Requirement, brought) if not r.marker or r.marker.evaluate()]
        # A CUDA build of torch names the CUDA packages it needs; the CPU build has none.
        cuda = ("nvidia", "cuda", "triton")
        open_names += [r.name for r in needed if not r.name.startswith(cuda)]
    assert seen <= set(versions), f"not pinned: {sorted(seen - set(versions))}"


@pytest.mark.parametrize("extra", ["dask", "onnx", "profile"])
def test_the_tests_have_what_an_extra_needs(extra) -> None:
    assert needed_by_extra(extra).items() <= needed_by_tests().items()


def test_torch_and_torchvision_are_a_pair_that_fits() -> None:
    assert (pins()["torch"], pins()["torchvision"]) == ("2.13.0", "0.28.0")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_conda_environments_have_the_ranges_of_pyproject(name) -> None:
    conda = conda_requirements(name)
    for package, requirement in needed_by_runs().items():
        assert package in conda, f"{package} is missing from {name}"
        listed = Requirement(f"{package}{conda[package]}").specifier
        assert listed == requirement.specifier, f"{package} in {name}"
    assert conda["python"] == project()["requires-python"]


@pytest.mark.parametrize(
    ("name", "build"), [("environment.yml", "pytorch-cpu"), ("environment-cuda.yml", "pytorch-gpu")]
)
def test_each_conda_environment_names_its_build_of_torch(name, build) -> None:
    assert f"- {build}>=" in (ROOT / name).read_text()


def test_conda_environments_differ_only_in_the_build_of_torch() -> None:
    first, second = (conda_requirements(name) for name in ENVIRONMENTS)
    assert first == second


def test_licence_is_the_one_declared() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert project()["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
