"""Python environments of peers whose packages are none of ours."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import MeasurementError
from benchmarks.options import ROOT
from benchmarks.record import Record

SETFIT = ("setfit==1.2.0", "sentence-transformers==6.2.0", "evaluate==0.4.6")
_TRANSFORMERS_4 = ("transformers==4.57.6", "tokenizers==0.22.2", "huggingface-hub==0.36.0")
INFINITY = (
    "infinity-emb==0.0.78", "sentence-transformers==3.4.1", *_TRANSFORMERS_4, "datasets==4.0.0",
    "orjson==3.13.0", "fastapi==0.115.12", "starlette==0.46.2",
    "prometheus-fastapi-instrumentator==8.1.0",
)  # fmt: skip
LATEFUSE = ("latefuse==0.1.0", *_TRANSFORMERS_4)
POLYLORA = ("polylora==0.1.1",)


def environment(name: str, packages: tuple[str, ...]) -> str:
    """The Python of ``.venv/NAME``, made the first time: this Python's packages, and these.

    Torch, ``transformers`` and whatever else is here already are shared, so both sides compute
    with the same versions and no second torch is fetched.

    Raises:
        MeasurementError: The packages cannot be installed.
    """
    place = ROOT / ".venv" / name
    python = place / "bin" / "python"
    shared = sysconfig.get_path("purelib")
    contents = "\n".join([shared, *packages])
    complete = place / ".complete"
    if complete.is_file() and complete.read_text(encoding="utf-8") == contents:
        return str(python)
    venv.EnvBuilder(clear=True, symlinks=True).create(place)
    own = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    Path(place, own, "shared.pth").write_text(f"{shared}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet",
         "--disable-pip-version-check", "--no-deps", *packages],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = reasons[-1] if reasons else f"pip ended with {done.returncode}"
        raise MeasurementError(f"{', '.join(packages)} cannot be installed: {why}")
    complete.write_text(contents, encoding="utf-8")
    return str(python)


def environment_of(
    contenders: Sequence[str], name: str, packages: tuple[str, ...], record: Record
) -> str | None:
    """As :func:`environment`; None where it cannot be made, which the record keeps of each."""
    try:
        return environment(name, packages)
    except MeasurementError as error:
        record.failed |= dict.fromkeys(contenders, str(error))
        return None
