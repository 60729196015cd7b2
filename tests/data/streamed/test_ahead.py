"""Items that are made ahead come in order, with what making them raised, and no further."""

import threading

import pytest

from lofi_jax.data.streamed.ahead import ahead


def test_the_next_ones_are_made_while_one_is_worked_on():
    made = [threading.Event() for _ in range(4)]

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number

    reading = ahead(items(), 2)
    assert not made[0].is_set()
    assert next(reading) == 0
    assert made[1].wait(10) and made[2].wait(10)
    assert not made[3].is_set()
    assert list(reading) == [1, 2, 3]


def test_what_making_one_raises_comes_in_its_place():
    def items():
        yield 1
        raise ValueError("broken")

    reading = ahead(items(), 3)
    assert next(reading) == 1
    with pytest.raises(ValueError, match="broken"):
        next(reading)


def test_a_reader_may_leave():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = set(threading.enumerate())
    reading = ahead(items(), 2)
    next(reading)
    reading.close()
    assert set(threading.enumerate()) <= before
    del reading
    assert closed.wait(10)
