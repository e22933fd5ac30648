import numpy as np

from gp_emq.proxies import configuration_scores


def test_a_score_is_the_sum_of_the_entries_chosen_numbers() -> None:
    table = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    choices = np.array([[0, 0], [2, 1], [1, 2]])
    assert configuration_scores(table, choices).tolist() == [11, 23, 32]
    both = configuration_scores(np.stack([table, -table]), choices)
    assert both.tolist() == [[11, 23, 32], [-11, -23, -32]]


def test_scores_do_not_depend_on_what_is_scored_beside_them() -> None:
    rng = np.random.default_rng(0)
    tables, choices = rng.normal(size=(40, 17, 3)), rng.integers(3, size=(200, 17))
    together = configuration_scores(tables, choices)
    for table, scores in zip(tables, together, strict=True):
        assert (configuration_scores(table, choices) == scores).all()
