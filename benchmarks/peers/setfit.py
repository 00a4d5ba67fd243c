"""SetFit on the same backbone, as its documentation has it; runs in an environment of its own."""

from __future__ import annotations

from typing import Any

from benchmarks.data import Workload, read_rows
from benchmarks.scoring import Stopwatch, judged


def fit(workload: dict[str, Any], scratch: str, **arguments: Any) -> dict[str, Any]:
    """Contrastive fine-tuning of the backbone, then logistic regression on its sentence vectors.

    Args:
        workload: Rows, backbone, seed.
        scratch: For what the trainer writes.
        **arguments: Of SetFit's ``TrainingArguments``, where not its defaults.
    """
    watch = Stopwatch()
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    work = Workload(**workload)
    texts, labels = zip(*read_rows(work.train), strict=True)
    # float32: by itself it would train in the precision of the file, which is float16 here.
    body = SentenceTransformer(
        work.backbone, device="cpu", model_kwargs={"dtype": "float32"}, local_files_only=True
    )
    body.max_seq_length = work.max_length
    names = sorted(set(labels))
    model = SetFitModel(body, LogisticRegression(), labels=names)
    rows = Dataset.from_dict({"text": texts, "label": [names.index(label) for label in labels]})
    settings = TrainingArguments(
        output_dir=scratch, seed=work.seed, save_strategy="no", logging_strategy="no",
        report_to="none", show_progress_bar=False, **arguments,
    )  # fmt: skip
    Trainer(model=model, args=settings, train_dataset=rows).train()
    model.save_pretrained(f"{scratch}/model")
    found = watch.read()
    held = read_rows(work.test)
    answers = model.predict([text for text, _ in held], batch_size=work.batch_size)
    return {**found, **judged([str(answer) for answer in answers], held)}
