"""Infinity behind its own ``/classify``; runs in an environment of its own."""

from __future__ import annotations

import json
import os
import sys


def main(path: str) -> None:
    """Serve the merged model at ``path`` on a free port, which is printed as JSON."""
    import socket
    from typing import Any

    os.environ |= {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    import uvicorn
    from infinity_emb.args import EngineArgs
    from infinity_emb.infinity_server import create_server

    # Its "better transformer" needs torch older than this one; it answers from one model only.
    engine = EngineArgs(
        model_name_or_path=path, served_model_name="model", engine="torch", device="cpu",
        dtype="bfloat16", bettertransformer=False, model_warmup=False,
    )  # fmt: skip
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            print(json.dumps({"url": url}), flush=True)

    app = create_server(engine_args_list=[engine])
    Server(uvicorn.Config(app, access_log=False, log_level="warning")).run([listening])


if __name__ == "__main__":
    main(sys.argv[1])
