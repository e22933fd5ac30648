"""Certificates, searches and calibrations as text for a terminal."""

from collections.abc import Sequence

from gp_emq.columns import format_columns
from gp_emq.measured._calibration import Calibrated
from gp_emq.measured._certificate import Certificate, relative
from gp_emq.measured._contest import Contest
from gp_emq.measured._interactions import Interacting
from gp_emq.measured._names import ONE_WIDTH
from gp_emq.measured._race import Difference
from gp_emq.measured._search import Found
from gp_emq.networks import TOP_1
from gp_emq.ptq import Measured

_NAMED = 2
"""Proxies that are named of those that planned the same."""


def format_contest(found: Contest) -> str:
    """Say in one line how the plans of several proxies raced, for a plan's provenance too.

    Args:
        found: What came of it.
    """
    told = ", ".join(
        f"{_named(names)} {loss:.4g} on {samples}"
        for (loss, samples), names in _by_plan(found).items()
    )
    proxies = len(found.losses.keys() - {ONE_WIDTH})
    beside = " and of one width" if ONE_WIDTH in found.losses else ""
    return f"{found.plans} plans of {proxies} proxies{beside} raced by loss: {told} samples"


def _by_plan(found: Contest) -> dict[tuple[float, int], list[str]]:
    """Put together the proxies that planned the same, by what the plan lost and on how many."""
    names: dict[tuple[float, int], list[str]] = {}
    for name, loss in found.losses.items():
        names.setdefault((loss.value, found.samples[name]), []).append(name)
    return names


def _named(names: Sequence[str]) -> str:
    """Name the first two of those that planned the same, and count the others."""
    more = len(names) - _NAMED
    return " = ".join(names[:_NAMED]) + (f" = {more} more" if more > 0 else "")


def format_search(found: Found) -> str:
    """Say in one line what a search found, for a plan's provenance too.

    Args:
        found: What it found.
    """
    begin = f"{found.plans} plans in {found.measurements:.0f} measurements: "
    if found.tried == found.start:
        return f"{begin}none was better than the table's, loss {_loss(found.start_loss)}"
    change = found.change
    end = "kept" if found.best == found.tried else "not kept"
    return (
        f"{begin}loss {_loss(found.start_loss)} at the start, changed by "
        f"{100 * relative(change, found.start_loss):+.1f} % ({_loss(change)}, "
        f"{change.errors:+.1f} standard errors) on samples that chose nothing: {end}"
    )


def format_calibration(fitted: Calibrated) -> str:
    """Say in one line how well a corrected table ranks, for a plan's provenance too.

    Args:
        fitted: The table.
    """
    tau, before = fitted.tau, fitted.table_tau
    if fitted.tried == fitted.start:
        end = "it plans the same"
    elif fitted.best == fitted.tried:
        end = "its plan is kept"
    else:
        end = "its plan is not better on samples that chose nothing, and not kept"
    return (
        f"{len(fitted.measured)} plans measured; tau of each predicted from the others "
        f"{tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}], of the table as it was "
        f"{before.value:.2f} [{before.low:.2f}, {before.high:.2f}]; {end}"
    )


def format_interactions(found: Interacting) -> str:
    """Say in one line what pairs of entries brought, for a plan's provenance too.

    Args:
        found: What was measured.
    """
    tau, alone = found.tau, found.single_tau
    if found.tried == found.start:
        end = "the plan stays the same"
    elif found.best == found.tried:
        end = "the plan by them is kept"
    else:
        end = "the plan by them is not better on samples that chose nothing, and not kept"
    return (
        f"{found.pairs} pairs in {found.measured} measured plans; tau of random plans with pairs "
        f"{tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}], without {alone.value:.2f} "
        f"[{alone.low:.2f}, {alone.high:.2f}]: pairs are {'' if found.used else 'not '}used; {end}"
    )


def format_certificate(certificate: Certificate) -> str:
    """Write a certificate as text.

    Args:
        certificate: The certificate.
    """
    digits = _digits(certificate)
    head = ["", certificate.loss, "95 %", certificate.metric, "95 %", "change", "95 %"]
    body = [
        [
            line.name,
            f"{line.loss.value:.4g}",
            f"[{line.loss.low:.4g}, {line.loss.high:.4g}]",
            *_metric(line.metric, digits),
            *_metric(line.change, f"+{digits}"),
        ]
        for line in certificate.lines
    ]
    by = "" if certificate.labelled else ", the float network's answers counting as right"
    samples = f"{certificate.images:,} samples that chose nothing"
    lines = [
        f"measured by {certificate.method} on {samples}{by}",
        "",
        *format_columns(head, body, []),
        "",
        *(
            f"next best: loss {loss:.4g} where it was searched, bits {' '.join(map(str, widths))}"
            for widths, loss in certificate.next_best
        ),
        _verdict(certificate),
    ]
    return "\n".join(lines) + "\n"


def format_remedies(finer_method: str | None) -> str:
    """Say in one line what may find a plan that loses less.

    Args:
        finer_method: The recipe that learns how to round; None where that was done.
    """
    rounded = "" if finer_method is None else f", --measure-method {finer_method} rounds better"
    return f"the plan loses more than chance would: --measure 100 looks for a better one{rounded}\n"


def _verdict(certificate: Certificate) -> str:
    text = f"verdict: {certificate.verdict}"
    if certificate.drop is None:
        return text
    lost = format(certificate.drop, _digits(certificate))
    lost = lost if float(lost) else format(0.0, _digits(certificate))  # no -0
    text += f": {certificate.metric} lost {lost}"
    if certificate.max_drop is None:
        return f"{text}, and no --max-drop was given"
    return f"{text} of the {certificate.max_drop:g} that --max-drop allows"


def _digits(certificate: Certificate) -> str:
    """How the metric is written: of a metric of one's own nobody knows how large it is."""
    return ".4f" if certificate.metric == TOP_1.name else ".4g"


def _loss(of: Difference) -> str:
    return f"{of.value:.4g} [{of.low:.4g}, {of.high:.4g}]"


def _metric(of: Measured | None, form: str) -> list[str]:
    if of is None:
        return ["", ""]
    if of.low is None or of.high is None:
        return [format(of.value, form), ""]
    return [format(of.value, form), f"[{of.low:{form}}, {of.high:{form}}]"]
