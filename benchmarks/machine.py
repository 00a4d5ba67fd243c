"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.options import ROOT

_PACKAGES = "torch transformers peft accelerate tokenizers openvino onnxruntime numpy click".split()
_SETS = "avx2 avx512f avx512_vnni avx512_bf16 avx512_fp16 amx_tile amx_bf16 amx_int8".split()


def machine(device: str) -> dict[str, Any]:
    """CPU, cores, instruction sets that matter here, memory, system, and the GPU if one is used."""
    info = _cpuinfo()
    flags = set(info.get("flags", "").split())
    found = {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "instruction_sets": [name for name in _SETS if name in flags],
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if device == "cuda":
        found["gpu"] = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return found


def versions() -> dict[str, str]:
    """Versions of Python, this project (with its commit) and the libraries that are here."""
    found = {"python": platform.python_version(), "lora-bert": _own_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _own_version() -> str:
    namespace: dict[str, str] = {}
    exec((ROOT / "lora_bert" / "_version.py").read_text(encoding="utf-8"), namespace)
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    return namespace["__version__"] + (f" ({commit})" if commit else "")


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _memory_gb() -> float:
    if sys.platform == "win32":
        return 0.0
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def _output(*command: str) -> str:
    """What a program prints, or nothing where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
