"""A merged model as tutorials serve it: the pipeline of transformers in an endpoint."""

from __future__ import annotations

import json
import sys
from typing import Any


def main(path: str) -> None:
    """Serve the model at ``path`` on a free port, which is printed as JSON."""
    import socket

    import torch
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from transformers import pipeline

    from lora_bert.runtime.device import pick_dtype

    answering = pipeline("text-classification", path, dtype=pick_dtype("auto", torch.device("cpu")),
                         top_k=None)  # fmt: skip

    async def predict(request: Request) -> JSONResponse:
        inputs: Any = (await request.json())["inputs"]
        texts = [inputs] if isinstance(inputs, str) else [text for (text,) in inputs]
        return JSONResponse(await run_in_threadpool(answering, texts, truncation=True))

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, access_log=False)).run([listening])


if __name__ == "__main__":
    main(sys.argv[1])
