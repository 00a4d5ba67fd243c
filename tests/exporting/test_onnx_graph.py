"""The graph that exported models compute, held against ``transformers`` on random models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.errors import BackboneError
from lora_bert.exporting import onnx_graph as graph
from lora_bert.exporting.onnx_graph import branch_graph, classifier_graph, trunk_graph
from tests.tiny import ADDED, FAMILIES, VOCABULARY, tiny_classifier, with_mean_layer_added

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

VARIANTS = [
    *((family, {}) for family in FAMILIES),
    ("bert", {"hidden_act": "gelu_new"}),
    ("bert", {"hidden_act": "relu", "num_labels": 7}),
    ("roberta", {"hidden_act": "silu"}),
    ("distilbert", {"activation": "gelu_new"}),
    ("modernbert", {"classifier_pooling": "mean"}),
    ("modernbert", {"norm_bias": True, "attention_bias": True, "mlp_bias": True}),
    ("modernbert", {"classifier_bias": True, "classifier_activation": "tanh"}),
]


def configured(settings):
    """The encoder, and what its classifier in ``transformers`` reads."""
    config = encoder_config(settings)
    return config, config.head.pooling


def run(written, inputs):
    """The one output of an ONNX model."""
    session = onnxruntime.InferenceSession(
        written.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)[0]


def compute(model, ids, mask, pooling=None, depth=None):
    """What the graph of a ``transformers`` model gives, with another ``pooling`` if need be.

    With ``depth``, the graph of a branch on that of a trunk.
    """
    config, own = configured(model.config.to_dict())
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    inputs = {"input_ids": ids, "attention_mask": mask}
    if depth is None:
        return run(classifier_graph(tensors, config, pooling or own), inputs)
    hidden = run(trunk_graph(tensors, config, depth), inputs)
    assert hidden.shape == (*ids.shape, config.hidden_size)
    hidden[mask == 0] = 7  # what stands at filler is nobody's
    above = branch_graph(tensors, config, pooling or own, depth)
    words = f"{config.layout.prefix}{config.layout.word_embeddings}.weight"
    assert words not in {each.name for each in above.graph.initializer}
    return run(above, {"hidden_states": hidden, "attention_mask": mask})


@pytest.mark.parametrize(("family", "extra"), VARIANTS, ids=str)
def test_the_same_logits_as_transformers(family, extra):
    labels = {"labels": extra["num_labels"]} if "num_labels" in extra else {}
    more = {key: value for key, value in extra.items() if key != "num_labels"}
    check(tiny_classifier(family, **labels, **more))


@pytest.mark.parametrize("family", ADDED)
def test_the_mean_as_the_additional_layer_makes_it(family):
    model = tiny_classifier(family)
    check(model, with_mean_layer_added(model), "mean")


def check(model, twin=None, pooling=None):
    """Compare the graph of a ``transformers`` model with a model."""
    random = np.random.default_rng(0)
    for lengths in ([1], [3, 30, 9], [16] * 5, [1, 128]):
        ids = random.integers(5, len(VOCABULARY), (len(lengths), max(lengths)))
        mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
        ids[mask == 0] = 1
        with torch.no_grad():
            wanted = (twin or model)(torch.from_numpy(ids), torch.from_numpy(mask)).logits.numpy()
        np.testing.assert_allclose(compute(model, ids, mask, pooling), wanted, atol=1e-5)
        for depth in (0, 3) if len(lengths) == 3 else ():
            found = compute(model, ids, mask, pooling, depth)
            np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "extra", "saves"),
    [("bert", {}, True), ("modernbert", {"classifier_pooling": "cls"}, True),
     ("modernbert", {"classifier_pooling": "mean"}, False)],
    ids=str,
)  # fmt: skip
def test_the_last_layer_computes_the_first_token_alone_if_the_head_reads_no_other(
    family, extra, saves
):
    model = tiny_classifier(family, **extra)
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    written = classifier_graph(tensors, *configured(model.config.to_dict()))
    seen = [node.output[0] for node in written.graph.node if node.op_type == "Softmax"]
    written.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in seen
    )
    session = onnxruntime.InferenceSession(written.SerializeToString())
    ids = np.full((2, 7), 5)
    found = session.run(seen, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    queries = [weights.shape[2] for weights in found]
    assert queries == [7] * (len(seen) - 1) + [1 if saves else 7]


def test_what_cannot_be_written_is_refused(monkeypatch):
    model = tiny_classifier("bert")
    ids = np.full((1, 3), 5)
    model.config.hidden_act = "mish"
    with pytest.raises(BackboneError, match="'mish' cannot be exported"):
        compute(model, ids, np.ones_like(ids))
    monkeypatch.setattr(graph, "_MOST_BYTES", 1000)
    with pytest.raises(BackboneError, match="cannot hold more than 2"):
        compute(model, ids, np.ones_like(ids))
