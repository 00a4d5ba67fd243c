"""The tables of the READMEs' "How fast", between two comments."""

from __future__ import annotations

import re

from benchmarks.questions import PREDICT, RUN
from benchmarks.record import Record

_PLACE = re.compile(r"(<!-- benchmarks: (\w+) (en|zh) -->\n).*?(<!-- end -->)", re.DOTALL)
_CHINESE = {
    "lora-bert, defaults": "lora-bert，默认设置",
    "again, from the cache": "再次运行，用缓存",
    "lora-bert, `--layers all`": "lora-bert，`--layers all`",
    "PEFT + Trainer, fastest recipe": "PEFT + Trainer，最快的配方",
    "fastest recipe, no dropout, as ours": "最快的配方，不用 dropout（和我们一样）",
    "fastest recipe, six layers, as ours": "最快的配方，只适配六层（和我们一样）",
    "PEFT + Trainer, float32": "PEFT + Trainer，float32",
    "the tutorials' loop": "教程里的循环",
    "lora-bert, merged": "lora-bert，合并后",
    "base + adapter": "主干 + 适配器",
    "exported to OpenVINO": "导出为 OpenVINO",
    "int8, merged or exported": "int8（合并或导出）",
    "transformers": "transformers",
    "OpenVINO by hand": "自己用 OpenVINO",
    "OpenVINO by hand, int8": "自己用 OpenVINO，int8",
}
_ANSWERS = {answer.benchmark: answer for answer in (RUN, PREDICT)}


def fill(text: str, records: dict[str, Record]) -> str:
    """A README with the tables of these records."""

    def table(place: re.Match[str]) -> str:
        words = _CHINESE if place[3] == "zh" else None
        shown = _ANSWERS[place[2]].table(records.values(), words)
        return f"{place[1]}{shown.markdown()}\n{place[4]}"

    return _PLACE.sub(table, text)
