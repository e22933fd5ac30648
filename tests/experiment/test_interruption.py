"""The first Ctrl-C is a request, the second one is not."""

import os
import signal
import threading

import pytest

from gp_emq.experiment._interruption import Interruption


@pytest.fixture(autouse=True)
def _usual_handler():
    """Whoever runs the tests in the background may have them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_nothing_is_requested_before_ctrl_c() -> None:
    with Interruption() as interruption:
        assert not interruption.requested


def test_the_first_is_a_request_and_the_second_an_interrupt() -> None:
    with Interruption() as interruption:
        press_ctrl_c()
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()


def test_afterwards_ctrl_c_interrupts_as_before() -> None:
    with Interruption():
        pass
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_outside_the_main_thread_it_does_nothing() -> None:
    requested = []

    def work() -> None:
        with Interruption() as interruption:
            requested.append(interruption.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requested == [False]
