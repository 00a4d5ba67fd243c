"""Makes a click command out of a config class: its options, ``--config``, ``--json``, help."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from lora_bert.cli import console
from lora_bert.errors import ConfigError
from lora_bert.json_files import json_text
from lora_bert.options import Option, build, flag, options_of, read_yamls

_KINDS = {int: click.INT, float: click.FLOAT, str: click.STRING}


@dataclass(frozen=True)
class Answer:
    """What a command says: ``document`` with ``--json``, else ``text``."""

    document: Any
    text: str
    exit_code: int = 0


class Command(click.Command):
    """A command whose help shows its options under the headings the config class gives them."""

    groups: dict[str, str]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                name = parameter.name or ""
                sections.setdefault(self.groups.get(name, "General"), []).append(record)
        for name in sorted(sections, key="Data Adapter Training Options Run General".find):
            with formatter.section(name):
                formatter.write_dl(sections[name])


def declare(
    name: str, config: type, *, needs: str = "", usage: str = ""
) -> Callable[[Any], click.Command]:
    """Decorate ``function(config, as_json)`` into a click command.

    The function gives its :class:`Answer`, or None where it has printed that itself. Its docstring
    is the help text. Without its first arguments the command ends with the error that it ``needs``
    them, and ``usage`` is the hint.
    """

    def decorate(function: Callable[..., Answer | None]) -> click.Command:
        options = {key: value for key, value in options_of(config).items() if not value.hidden}
        needed = [key for key, option in options.items()
                  if option.positional and option.default == ""]  # fmt: skip

        @functools.wraps(function)
        def called(**given: Any) -> None:
            as_json, files = given.pop("as_json"), given.pop("config")
            values = read_yamls(files, config)
            _divide(given, values, [key for key, each in options.items() if each.positional])
            values |= {key: value for key, value in given.items() if value not in (None, ())}
            built: Any = build(config, values)
            if not all(getattr(built, key) for key in needed):
                raise ConfigError(f"{name} needs {needs}.", hint=f"lora-bert {name} {usage}")
            if answer := function(built, as_json):
                click.echo(json_text(answer.document) if as_json else answer.text)
                click.get_current_context().exit(answer.exit_code)

        made = Command(
            name,
            callback=called,
            params=[*(_parameter(key, option) for key, option in options.items()), *_general()],
            help=inspect.cleandoc(str(function.__doc__)).replace("\nExamples:", "\n\b\nExamples:"),
            no_args_is_help=False,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        made.groups = {key: option.group for key, option in options.items()}
        return made

    return decorate


def _divide(given: dict[str, Any], written: Mapping[str, Any], positional: Sequence[str]) -> None:
    """Have a lone word be what is read, and no word both what is read and what is written.

    Of many arguments with one behind them, click gives a lone word to the one behind. ``written``
    is what files say.

    Raises:
        ConfigError: The last of several words may be either, as a file names the one behind too.
    """
    match positional:
        case [many, last] if isinstance(given[many], tuple) and given[last] is not None:
            if not given[many]:
                given[many], given[last] = (given[last],), None
            elif last in written:
                raise ConfigError(
                    f"'{given[last]}' may be the {last} or one of the others: --config says "
                    f"{last}: {written[last]}.",
                    hint=f"Leave {last} out of the file, or name what is read there too.",
                )


def _parameter(key: str, option: Option) -> click.Parameter:
    many, default = option.kind is tuple, option.default
    if option.positional:
        return click.Argument(
            [key], required=False, nargs=-1 if many else 1, metavar=option.metavar
        )
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    text = option.help if default in (None, False, "", ()) else f"{option.help} [default: {shown}]"
    if option.kind is bool:
        # Every switch can be turned off again: a --config file may have turned it on.
        return click.Option([f"{flag(key)}/--no-{flag(key)[2:]}", key], help=text, default=None)
    kind = _KINDS[str if many else option.kind]
    chosen: Any = click.Choice(option.choices) if option.choices else kind
    return click.Option(
        [flag(key), key], type=chosen, help=text, metavar=option.metavar, multiple=many
    )


def _general() -> list[click.Parameter]:
    def apply(_: click.Context, parameter: click.Parameter, is_on: bool) -> None:
        if is_on and parameter.name == "debug":
            os.environ["LORA_BERT_DEBUG"] = "1"
        elif is_on:
            console.quiet()

    def switch(*names: str, help: str, **more: Any) -> click.Option:
        return click.Option(names, is_flag=True, help=help, **more)

    config = "YAML with any of these options; flags win."
    return [
        click.Option(["--config"], metavar="FILE", multiple=True, help=config),
        switch("--json", "as_json", help="Print the result as one JSON document."),
        switch("--quiet", "-q", expose_value=False, callback=apply,
               help="No notes and no progress, only warnings and errors."),
        switch("--debug", expose_value=False, is_eager=True, callback=apply,
               help="Show the traceback of an error."),
    ]  # fmt: skip
