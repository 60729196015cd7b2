"""Memory of batches: used again, but never while anyone can see the batch."""

import concurrent.futures
import gc
import pickle
import random

import jax
import numpy as np

from lofi_jax.data.loader.batch_memory import BatchMemory

SHAPE = (3, 400)


def address(array) -> int:
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_once_an_array_is_gone():
    memory = BatchMemory()
    first = memory.empty(SHAPE)
    assert first.shape == SHAPE and first.dtype == np.uint8 and first.flags.writeable
    at = address(first)
    second = memory.empty(SHAPE)
    assert address(second) != at
    del first
    smaller = memory.empty((5, 7))
    assert address(smaller) == at and smaller.shape == (5, 7)
    del smaller
    larger = memory.empty((10, 400))
    assert larger.size == 4000
    larger[...] = 1


def test_a_view_of_a_view_keeps_it():
    memory = BatchMemory()
    array = memory.empty(SHAPE)
    array[...] = 7
    view = array[1].reshape(20, 20).T[::2]
    del array
    gc.collect()
    memory.empty(SHAPE)[...] = 8
    assert (view == 7).all()


def test_what_a_device_holds_stays():
    memory = BatchMemory()
    sent = []
    for value in range(20):
        array = memory.empty((64, 64, 64))
        array[...] = value
        sent.append(jax.device_put(array))
    del array
    assert [set(np.unique(x)) for x in sent] == [{value} for value in range(20)]


def test_threads_never_share_an_array():
    memory = BatchMemory()

    def work(number):
        order, held = random.Random(number), []
        for value in range(300):
            array = memory.empty((order.randrange(1, 50),))
            array[...] = value % 256
            held.append((array, value % 256))
            if order.random() < 0.5:
                del held[order.randrange(len(held))]
            assert all((array == value).all() for array, value in held)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_a_worker_gets_its_own_and_no_old_batch():
    memory = BatchMemory()
    memory.empty(SHAPE)
    sent = pickle.dumps(memory)
    assert len(sent) < 100
    assert pickle.loads(sent).empty(SHAPE).shape == SHAPE
