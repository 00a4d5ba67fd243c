"""The Python functions' face: signatures out of a config class, errors and notes that speak Python.

The rooms below name options as the command line writes them. Here, and only for what somebody has
called from Python, ``--label-column`` becomes ``label_column``.
"""

from __future__ import annotations

import functools
import inspect
import logging
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from lora_bert.errors import InputTypeError, LoraBertError
from lora_bert.messages import MessageHandler, write_line
from lora_bert.options import Option, check_known, options_of

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_FUNCTIONS = ("train", "evaluate", "merge", "combine", "export", "verify", "convert-backbone")
# A quotation, which has no name, holds data. The apostrophe of "adapter's" opens none.
_FLAG = re.compile(
    r"(?<!\w)'[^'\n]*'|(?<![^\W_])(?<!-)--(?P<no>no-)?(?P<name>[a-z][a-z0-9-]*[a-z0-9])"
)
_VALUE = re.compile(r""" (?P<value>(?:'[^'\n]*'|"'")+|[^\s;)]*[^\s;).,:…])""")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
_AT_COMMAND_LINE = ContextVar("_AT_COMMAND_LINE", default=False)
_COMMAND = re.compile(rf"lora-bert ({'|'.join(_FUNCTIONS)}) (?P<rest>(?:'[^'\n]*'|[^\n,;])*)")


def called_from_python(config: type, typed: type | None = None) -> Callable[[FunctionT], FunctionT]:
    """Decorate a public function: what it takes beside its own parameters are a config's options.

    Its ``__signature__`` lists every keyword with its default, one that it does not take is a
    ConfigError, an error that passes through names options as keywords, and in an interactive
    session its notes are shown.

    Args:
        config: The options.
        typed: The TypedDict that says what types they have in Python; without one, those that the
            function declares itself are all.
    """

    def decorate(function: FunctionT) -> FunctionT:
        options = options_of(config)

        @functools.wraps(function)
        def called(*args: Any, **given: Any) -> Any:
            if _AT_COMMAND_LINE.get():
                return function(*args, **given)
            with _notes_shown(options):
                try:
                    check_known(given, known)
                    return function(*args, **given)
                except LoraBertError as error:
                    _translate(error, options)
                    raise

        signature = _signature(function, config, typed)
        known = [name for name in signature.parameters if name not in ("self", "cls")]
        called.__signature__ = signature  # type: ignore[attr-defined]
        if typed and function.__doc__:
            called.__doc__ = f"{inspect.cleandoc(function.__doc__)}\n\n{_described(typed, options)}"
        return cast("FunctionT", called)

    return decorate


@contextmanager
def at_command_line() -> Iterator[None]:
    """Within it nothing was called from Python: the command line's own words stay."""
    token = _AT_COMMAND_LINE.set(True)
    try:
        yield
    finally:
        _AT_COMMAND_LINE.reset(token)


Options = dict[str, Option]
"""What a function takes, by name."""


def in_python(text: str, options: Options) -> str:
    """``text`` with options and commands written as Python has them; what is quoted stays."""
    if command := _COMMAND.search(text):
        before, behind = text[: command.start()], text[command.end() :]
        call = _call(command[1], command["rest"])
        return in_python(before, options) + call + (in_python(behind, options) or ".")
    parts: list[str] = []
    at = 0
    for match in _FLAG.finditer(text):
        name = (match["name"] or "").replace("-", "_")
        if match.start() < at or name not in options:
            continue
        written, end = _keyword(name, match, text, options[name])
        between = text[at : match.start()]
        follows = between == " " and bool(parts)
        parts += [", " if follows else between, written]
        at = end
    return "".join([*parts, text[at:]])


def _keyword(name: str, match: re.Match[str], text: str, option: Option) -> tuple[str, int]:
    """An option as a keyword, and where the text goes on behind it."""
    if option.kind is bool:
        return f"{name}={not match['no']}", match.end()
    value = _VALUE.match(text, match.end())
    if value and _is_value(value["value"], option):
        word = value["value"]
        if option.kind in (int, float) and _NUMBER.fullmatch(word):
            return f"{name}={word}", value.end()
        with suppress(ValueError):  # an apostrophe that opens no quotation
            word = shlex.split(word)[0] if word.startswith("'") else word
        return f"{name}={word!r}", value.end()
    needs_value = text[: match.start()].endswith("with ")
    return f"{name}=…" if needs_value else name, match.end()


def _is_value(word: str, option: Option) -> bool:
    """Whether the word behind an option is its value, and not how the sentence goes on."""
    if option.choices:
        return word in option.choices
    if option.kind in (int, float):
        return bool(_NUMBER.fullmatch(word))
    return word.startswith("'") or word.isupper() or bool(re.search(r"[=,/:._\\-]", word[1:]))


def _call(command: str, rest: str) -> str:
    """``export A OUT --format onnx`` as the call of a Python function."""
    try:
        words = shlex.split(rest.rstrip("."))
    except ValueError:
        words = rest.split()
    arguments = []
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            arguments.append(word if word == "…" else repr(word))
            continue
        name = word.removeprefix("--").replace("-", "_")
        takes_value = bool(words) and not words[0].startswith("--")
        value = words.pop(0) if takes_value else "True"
        arguments.append(f"{name}={value if value in ('True', '…') else repr(value)}")
    return f"lora_bert.{command.replace('-', '_')}({', '.join(arguments)})"


def _translate(error: LoraBertError, options: Options) -> None:
    error.args = (in_python(str(error), options), *error.args[1:])
    if error.hint:
        error.hint = in_python(error.hint, options)
        error.__notes__ = [error.hint]


def _signature(function: Callable[..., Any], config: type, typed: type | None) -> inspect.Signature:
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values()
           if parameter.kind is not inspect.Parameter.VAR_KEYWORD]  # fmt: skip
    taken = {parameter.name for parameter in own}
    hints = inspect.get_annotations(typed) if typed else {}
    more = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=option.default,
            annotation=getattr(hints[name], "__forward_arg__", hints[name]),
        )
        for name, option in options_of(config).items()
        if name in hints and name not in taken
    ]  # fmt: skip
    return signature.replace(parameters=[*own, *more])


def _described(typed: type, options: Options) -> str:
    """The options that a function takes, with what they are: for ``help()``."""
    lines = ["Options:"]
    hints = inspect.get_annotations(typed)
    for name in filter(hints.__contains__, options):
        described = in_python(f"{name}: {options[name].help}", options)
        lines += textwrap.wrap(described, 88, initial_indent="    ", subsequent_indent=" " * 8)
    return "\n".join(lines)


@contextmanager
def _notes_shown(options: Options) -> Iterator[None]:
    """Show notes in a notebook or at Python's prompt, unless logging was set up by somebody.

    A script is shown the warnings alone, which Python would print as the shell has them.
    """
    log = logging.getLogger("lora_bert")
    if log.hasHandlers() or logging.lastResort is None:
        yield
        return
    handler = MessageHandler(lambda text, _: write_line(in_python(text, options)))
    level = log.level
    if level == logging.NOTSET and is_interactive():
        log.setLevel(logging.INFO)
    else:
        handler.setLevel(logging.lastResort.level)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def is_interactive() -> bool:
    """Whether somebody types at a prompt or in a notebook; a script does not."""
    # With tqdm, which many commands do without.
    from lora_bert.runtime.progress_bar import is_notebook

    return is_notebook() or hasattr(sys, "ps1") or "get_ipython" in vars(sys.modules["builtins"])


def stays_here(kind: str) -> InputTypeError:
    """What is raised where an object is to be pickled or copied that holds prepared weights."""
    return InputTypeError(
        f"A {kind} cannot be pickled or copied: its weights are prepared for this process.",
        hint="Load it in each process, and share it between threads.",
    )
