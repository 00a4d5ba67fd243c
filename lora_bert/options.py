"""How options are declared and checked: one source for API, command line, YAML and docs."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import numbers
import os
import shlex
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from lora_bert.errors import ConfigError, did_you_mean, missing
from lora_bert.names import write_label_names, write_names
from lora_bert.wording import shortened

ConfigT = TypeVar("ConfigT")

_MAY_BE_EMPTY = ("LABEL", "TEXT")
"""Values, by their metavar, of which the empty text is one; it names no file, column or address."""


@dataclass(frozen=True)
class Option:
    """How an option is described, and which values it may have.

    Attributes:
        help: One line.
        kind: Its Python type, where it may be None beside it.
        choices: The values allowed, if they can be listed.
        metavar: What stands for the value in ``--help``.
        minimum: Smallest value allowed; ``exclusive`` shuts it out itself.
        group: Heading in ``--help`` and the docs.
        positional: An argument, not a flag.
        hidden: For Python and YAML alone: no flag.
        form: ``list``, ``numbers`` or ``mapping``: how Python and YAML may write what the command
            line writes as one text of names, or numbers, with commas between.
    """

    help: str
    default: Any = None
    kind: type = str
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive: bool = False
    group: str = "Options"
    positional: bool = False
    hidden: bool = False
    form: Literal["", "list", "numbers", "mapping"] = ""


def option(default: Any, help: str, **more: Any) -> Any:
    """A dataclass field with an :class:`Option`."""
    return dataclasses.field(default=default, metadata={"option": Option(help, default, **more)})


def options_of(kind: type) -> dict[str, Option]:
    """Every option of a config class by its name."""
    hints = typing.get_type_hints(kind)
    options = {}
    for entry in dataclasses.fields(kind):
        hint = hints[entry.name]
        if isinstance(hint, types.UnionType):
            hint = next(part for part in typing.get_args(hint) if part is not type(None))
        plain = typing.get_origin(hint) or hint
        options[entry.name] = dataclasses.replace(entry.metadata["option"], kind=plain)
    return options


def build(kind: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """A config object from plain values, each checked.

    Raises:
        ConfigError: An unknown key, a value of the wrong type, outside its range or choices.
    """
    known = options_of(kind)
    check_known(values, known)
    return kind(**{name: _checked(name, value, known[name]) for name, value in values.items()})


def check_known(names: Iterable[str], known: Collection[str]) -> None:
    """Raise ConfigError for a name of an option that is none of those ``known``."""
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"Known: {', '.join(known)}."
            raise ConfigError(f"Unknown option '{name}'.", hint=hint)


def read_yaml(path: str | Path, kind: type) -> dict[str, Any]:
    """The keys of a ``--config`` file, checked to be options of ``kind``.

    Keys may be written with dashes or underscores.

    Raises:
        NotFoundError: No such file.
        ConfigError: Not YAML, not a mapping, or an unknown key.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise missing(path)
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark else ""
        text = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ConfigError(f"'{path}'{at}: not valid YAML: {text}.") from error
    if not isinstance(written, dict):
        raise ConfigError(f"'{path}' must hold 'key: value' lines.")
    values = {str(key).replace("-", "_"): value for key, value in written.items()}
    _refuse_repetition(path, yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader))
    known = options_of(kind)
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known) or f"Known: {', '.join(known)}."
            raise ConfigError(f"'{path}': unknown key '{name}'.", hint=hint)
    return values


def read_yamls(paths: Iterable[str | Path], kind: type) -> dict[str, Any]:
    """The keys of several ``--config`` files together.

    Raises:
        NotFoundError: As :func:`read_yaml`.
        ConfigError: As :func:`read_yaml`, or two files contradict each other.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str | Path] = {}
    for path in paths:
        for key, value in read_yaml(path, kind).items():
            if key in values and values[key] != value:
                raise ConfigError(
                    f"'{path}' says {key}: {value}, '{origin[key]}' says {key}: {values[key]}.",
                    hint=f"Leave one of them out, or decide with {flag(key)}.",
                )
            values[key], origin[key] = value, path
    return values


def _refuse_repetition(path: Path, node: Any) -> None:
    """YAML would take the last of two values for the same key, silently."""
    seen: set[str] = set()
    for key, _ in node.value if node is not None else ():
        name = str(key.value).replace("-", "_")
        if name in seen:
            at = f"'{path}', line {key.start_mark.line + 1}"
            raise ConfigError(f"{at}: '{key.value}' is said twice.")
        seen.add(name)


def flag(name: str) -> str:
    """An option's name as the command line writes it."""
    return "--" + name.replace("_", "-")


def _checked(name: str, value: Any, option: Option) -> Any:
    kind = option.kind
    if value is None and (option.default is None or not option.positional):
        return option.default
    value = _plain(value, option, name)
    if kind is tuple:
        value = (value,) if isinstance(value, str) else value
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{name}: {value!r} is not a list of texts.")
        if "" in value and not _may_be_empty(option):
            raise _empty(name if option.positional else flag(name))
        return tuple(value)
    if kind is float and type(value) is not bool and isinstance(value, (numbers.Real, str)):
        # YAML 1.1 reads 1e-3 as a string: it wants 1.0e-3.
        with contextlib.suppress(OverflowError, ValueError):
            value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        shown = shortened(repr(value), 80)
        raise ConfigError(f"{flag(name)}: {shown} is not {wanted[kind]}.")
    if value == "" and not (option.default == "" or _may_be_empty(option) or option.choices):
        raise _empty(flag(name))
    _check_range(name, value, option)
    return value


def _may_be_empty(option: Option) -> bool:
    return (option.metavar or "").strip("[]…") in _MAY_BE_EMPTY


def _empty(name: str) -> ConfigError:
    return ConfigError(f"{name} is empty.", hint="Is a variable of the shell not set?")


def _plain(value: Any, option: Option, name: str) -> Any:
    """A value as the command line or YAML would give it, whatever Python has it in."""
    if isinstance(value, (list, tuple)):
        parts = [_scalar(item) for item in value]
        if option.form == "numbers":
            return ",".join(map(str, parts))
        if option.form != "list":
            return parts
        if not all(isinstance(part, str) for part in parts):
            raise ConfigError(f"{flag(name)}: {shortened(repr(parts), 80)} is not a list of texts.")
        return write_names(parts)
    if isinstance(value, Mapping) and option.form == "mapping":
        pairs = [(_word(old), _word(new)) for old, new in value.items()]
        if all(isinstance(part, str) for pair in pairs for part in pair):
            return write_label_names(dict(pairs))
        shown = shortened(repr(value), 80)
        raise ConfigError(
            f"{flag(name)}: {shown} does not give a new name to every label in it.",
            hint="Labels and names are texts or numbers, such as 0 and negative.",
        )
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _word(value: Any) -> Any:
    """A label of a mapping: data files make texts of numbers and switches too."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, numbers.Real) else value


def _check_range(name: str, value: Any, option: Option) -> None:
    if option.choices and value not in option.choices:
        raise ConfigError(
            f"{flag(name)}: '{value}' is not one of {', '.join(option.choices)}.",
            hint=did_you_mean(value, option.choices),
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{flag(name)}: {value} is not a finite number.")
    low, high = option.minimum, option.maximum
    if low is not None and (value < low or (option.exclusive and value == low)):
        raise ConfigError(f"{flag(name)}: {_shown(value)} is too small ({_range(option)}).")
    if high is not None and (value > high or (option.exclusive and value == high)):
        raise ConfigError(f"{flag(name)}: {_shown(value)} is too large ({_range(option)}).")


def _shown(value: float) -> str:
    return str(value)[:60] if isinstance(value, int) else f"{value:.12g}"


def _range(option: Option) -> str:
    than = "more than" if option.exclusive else "at least"
    below = "less than" if option.exclusive else "at most"
    parts = [f"{than} {option.minimum:.12g}"] if option.minimum is not None else []
    parts += [f"{below} {option.maximum:.12g}"] if option.maximum is not None else []
    return " and ".join(parts)


def as_yaml(config: Any, *, leave_out: Iterable[str] = ()) -> str:
    """The resolved configuration, one key a line, in declared order."""
    import yaml

    values = dataclasses.asdict(config)
    # A tuple is a list there; an empty one says no more than nothing does.
    unsaid = {name for name, option in options_of(type(config)).items()
              if option.hidden and values[name] == option.default}  # fmt: skip
    kept = {name: value if value != () else None
            for name, value in values.items() if name not in unsaid.union(leave_out)}  # fmt: skip
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def as_command(name: str, config: Any, *, leave_out: Iterable[str] = ()) -> str:
    """The command line that gives this configuration: only what differs from the defaults."""
    words = ["lora-bert", name]
    for key, option in options_of(type(config)).items():
        value = getattr(config, key)
        if key in set(leave_out) or value == option.default or option.hidden:
            continue
        if option.kind is bool:
            words.append(flag(key) if value else f"--no-{flag(key)[2:]}")
        else:
            for item in value if option.kind is tuple else (value,):
                words += [flag(key), shlex.quote(f"{item}")]
    return " ".join(words)
