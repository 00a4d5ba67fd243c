"""``lora-bert verify``."""

from __future__ import annotations

from lora_bert.cli.console import visible
from lora_bert.cli.declare import Answer, declare
from lora_bert.config import VerifyConfig

_MARKS = {True: "ok", False: "FAILED", None: "-"}


@declare("verify", VerifyConfig, needs="a directory", usage="adapters/waimai")
def command(config: VerifyConfig, as_json: bool) -> Answer:
    """Check that an adapter, a merged or exported model, or a backbone is whole and safe to open.

    A line for each check; each presupposes those before it. Nothing is downloaded, no code of it
    runs. Ends with exit code 0, or with that of what is wrong.

    Examples:
      lora-bert verify adapters/waimai
      lora-bert verify out/ --json
      lora-bert verify e5-small-zh-en
    """
    from lora_bert.inference.verify import run

    verification = run(config)
    lines = [
        f"{_MARKS[check.passed]:<7} {check.name:<12} {visible(check.said)}"
        for check in verification.checks
    ]
    return Answer(verification.as_dict(), "\n".join(lines), verification.exit_code)
