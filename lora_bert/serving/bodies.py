"""JSON of strangers in, JSON out."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from lora_bert.json_files import plain
from lora_bert.serving.refusals import RefusedError

BodyT = TypeVar("BodyT")


def read_json(raw: bytes) -> Any:
    """What a body says.

    Raises:
        RefusedError: ``malformed``: no UTF-8, no JSON, a number that JSON does not have, or nested
            too deeply.
    """
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise RefusedError("malformed", "The body is nested too deeply.") from None
    except ValueError as error:  # so is what is no UTF-8, and a whole number of 5,000 digits
        raise RefusedError("malformed", f"The body is not valid JSON: {error}.") from error


def typed(value: Any, kind: type[BodyT], where: str = "$") -> BodyT:
    """A JSON value, which stands at ``where`` of the body, as one of msgspec's structs.

    Raises:
        RefusedError: ``invalid``: it is none; says what is wrong, and where.
    """
    import msgspec

    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        at = f"{where}{place.removesuffix('`')}"
        said = what if at == "$" else f"{what} - at `{at}`"
        raise RefusedError("invalid", f"{said}.") from error
    except UnicodeEncodeError:  # half an emoji, where no text is wanted
        raise RefusedError("invalid", "Half a character stands where no text is taken.") from None
    except RecursionError:
        raise RefusedError("malformed", "The body is nested too deeply.") from None


def json_bytes(value: Any) -> bytes:
    """``value`` as JSON on one line; half an emoji becomes its escape."""
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=plain
    )
    return text.encode("utf-8", "backslashreplace")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
