"""Hints in messages."""

from gp_emq.files import did_you_mean

NAMES = ("hawq", "hawq_v2", "fit_trace", "fit_diagonal")


def test_the_name_most_like_an_unknown_one_is_asked_for() -> None:
    assert did_you_mean("hawk", NAMES) == "did you mean 'hawq'? "


def test_several_like_it_are_told_where_there_is_room() -> None:
    assert did_you_mean("fit_trac", NAMES, most=2) == "did you mean 'fit_trace'? "
    assert did_you_mean("hawq_v", NAMES, most=2) == "did you mean 'hawq_v2' or 'hawq'? "


def test_nothing_is_asked_where_nothing_is_like_it() -> None:
    assert did_you_mean("zebra", NAMES) == ""
    assert did_you_mean("hawk", ()) == ""
