"""What is lost is tried again, in smaller tasks, until a single item has had its chances."""

from hypothesis import given
from hypothesis import strategies as st

from gp_emq.farm._recovery import ATTEMPTS, Parcel, after_loss, cut


@given(st.lists(st.integers(), unique=True), st.integers(1, 9))
def test_cutting_keeps_every_place_once_and_shares_evenly(places, pieces) -> None:
    tasks = cut(places, pieces)
    assert len(tasks) == min(len(places), pieces)
    assert sorted(place for task in tasks for place in task.places) == sorted(places)
    sizes = [len(task.places) for task in tasks]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


@given(st.integers(1, 200), st.data())
def test_one_poisonous_item_alone_fails_and_after_few_losses(count, data) -> None:
    poisonous = data.draw(st.integers(0, count - 1))
    waiting, done, failed, losses = [Parcel(tuple(range(count)))], [], [], 0
    while waiting:
        task = waiting.pop()
        if poisonous not in task.places:
            done.extend(task.places)
            continue
        losses += 1
        again = after_loss(task)
        waiting.extend(again)
        if not again:
            failed.extend(task.places)
    assert failed == [poisonous]
    assert sorted(done) == [place for place in range(count) if place != poisonous]
    # Each cut leaves a quarter, rounded up: at most four cuts for 200 items.
    assert ATTEMPTS <= losses <= ATTEMPTS + 4


def test_a_single_item_gets_a_few_chances() -> None:
    task = Parcel((7,))
    chances = [task]
    while again := after_loss(chances[-1]):
        chances.extend(again)
    assert [chance.places for chance in chances] == [(7,)] * ATTEMPTS
