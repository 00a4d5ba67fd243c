"""What an actor takes of the machines of a cluster."""

from __future__ import annotations

import pytest

from lora_bert.inference.ray_cluster import resources


@pytest.mark.parametrize(
    ("nodes", "gpu", "wanted"),
    [
        ([{"CPU": 2}], True, {"num_cpus": 2, "count": 1}),
        ([{"CPU": 64}, {"CPU": 20}], True, {"num_cpus": 8, "count": 10}),
        # A head that computes nothing.
        ([{"CPU": 0}, {"CPU": 4}, {"CPU": 16}], True, {"num_cpus": 4, "count": 5}),
        ([{"CPU": 8}, {"CPU": 64, "GPU": 4}], True, {"num_cpus": 8, "num_gpus": 1, "count": 4}),
        ([{"CPU": 8}, {"CPU": 4, "GPU": 2}], True, {"num_cpus": 2, "num_gpus": 1, "count": 2}),
        ([{"CPU": 16, "GPU": 4}], False, {"num_cpus": 8, "count": 2}),
    ],
)
def test_actors_fill_the_machines(nodes, gpu, wanted):
    assert resources(nodes, gpu=gpu) == wanted


def test_where_a_gpu_is_asked_for_a_machine_with_one_is_waited_for():
    assert resources([{"CPU": 8}], gpu=True, must=True)["num_gpus"] == 1
