"""Threads side by side."""

from __future__ import annotations

import time

import pytest
import torch

from lora_bert.runtime.threads import Workers, workers

CPU = torch.device("cpu")


@pytest.fixture
def four_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("most", "count", "cores"), [(1, 1, 4), (2, 2, 2), (3, 3, 1), (4, 4, 1), (99, 4, 1), (0, 1, 4)]
)
def test_cores_are_shared_out(four_cores, most, count, cores):
    with workers(most, device=CPU) as made:
        assert (made.count, made.cores) == (count, cores)
        assert list(made.map(lambda _: torch.get_num_threads(), range(6))) == [cores] * 6
    assert torch.get_num_threads() == 4


def test_a_gpu_is_fed_by_one(four_cores):
    with workers(4, device=torch.device("cuda")) as made:
        assert made.count == 1


def test_answers_come_in_the_order_of_the_questions(four_cores):
    def slow_first(number):
        time.sleep(0.05 if number == 0 else 0)
        return number

    with workers(4, device=CPU) as made:
        assert list(made.map(slow_first, range(8))) == list(range(8))


@pytest.mark.parametrize("count", [1, 3])
def test_errors_arrive(count):
    made = Workers(count, 1)
    with pytest.raises(ZeroDivisionError):
        list(made.map(lambda number: 1 // number, [1, 0]))
    made.close()
