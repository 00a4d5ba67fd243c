"""The ``lora-bert`` command: finds the subcommand, imports only that, turns errors into words."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from lora_bert._version import __version__
from lora_bert.cli import console
from lora_bert.errors import (
    ConfigError,
    LoraBertError,
    NotFoundError,
    OutputError,
    UnavailableError,
    did_you_mean,
)
from lora_bert.python_face import at_command_line
from lora_bert.runtime.memory import is_out_of_memory
from lora_bert.runtime.signals import Terminated, ignore, stoppable

COMMANDS = {
    "train": "Train an adapter on labelled texts.",
    "evaluate": "Score an adapter or model on labelled rows.",
    "merge": "Fold an adapter into its backbone: a standalone model.",
    "combine": "Make one adapter of several, averaged or side by side.",
    "export": "Write a model for a faster engine: OpenVINO, ONNX Runtime.",
    "infer": "Classify texts, lines or a file.",
    "serve": "Answer over HTTP, with many adapters at once.",
    "convert-backbone": "Make safetensors of a backbone that is a pickle.",
    "verify": "Check that a model is whole and safe to open.",
    "info": "Say what an adapter, model or backbone is.",
    "cache": "List or clear what is kept to save time.",
}

HELP = """\
Small LoRA adapters for BERT-family text classifiers.

\b
lora-bert train --data reviews.csv --output runs/reviews
lora-bert evaluate runs/reviews --data test.csv
lora-bert infer --adapter runs/reviews "很好吃" "太慢了"
lora-bert merge runs/reviews out/"""

EXIT_CODES = """\b
Exit codes: 0 done · 2 wrong usage · 65 bad data, adapter or backbone
66 not found · 69 network, device or package not available · 70 a bug
73 output cannot be written · 130 stopped with Ctrl-C (train keeps the best
adapter so far) · 143 stopped with SIGTERM; train --resume goes on after both"""


INTERRUPTED, TERMINATED = 130, 143  # as shells count: 128 and the number of the signal
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _ReaderGoneError(Exception):
    """The reader of our output is gone; click itself would end with exit code 1."""


class _Commands(click.Group):
    """Subcommands whose modules are imported when they are called."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lora_bert.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS) or f"There are: {', '.join(COMMANDS)}."
            raise ConfigError(f"No such command '{args[0]}'.", hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    help=HELP,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="lora-bert")
def cli() -> None:
    """The group of the subcommands, which do the work."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    # What is imported are 200,000 objects that stay: a look through them takes 0.1 s.
    gc.set_threshold(100_000)
    code = run(args)
    if code in (INTERRUPTED, TERMINATED):
        # At once: threads may still compute and libraries be half imported, and Python's own way
        # out waits for the ones and crashes in the others.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    ignore(signal.SIGINT)  # all is done: Ctrl-C could only make libraries complain on the way out
    gc.freeze()  # nor at the end: the system takes back what is left all the same
    sys.exit(code)


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    console.start()
    try:
        # With standalone_mode off, click returns what ctx.exit() was given.
        with stoppable(), at_command_line():
            code = cli.main(args=args, prog_name="lora-bert", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except LoraBertError as error:
        if error.said_elsewhere:
            return error.exit_code
        return console.fail(str(error), error.hint, error.exit_code, error)
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            click.echo(error.format_message())
            return 0
        return console.fail(*_in_words(error), error.exit_code, error)
    except (click.Abort, KeyboardInterrupt) as stop:
        # Click makes an Abort of either.
        cause = stop.__cause__ or stop
        code = TERMINATED if isinstance(cause, Terminated) else INTERRUPTED
        said = getattr(cause, "said_elsewhere", False)
        return code if said else console.fail("Stopped.", "", code, None)
    except (_ReaderGoneError, BrokenPipeError):
        # The reader of our output (head, less) has seen enough; nothing is left to say to it.
        console.silence()
        return 0
    except OSError as error:
        if is_out_of_memory(error):
            return _unexpected(error)
        if error.errno in _FULL:
            console.silence()
            reason = f"Cannot write the output: {error.strerror}."
            return console.fail(reason, "", OutputError.exit_code, error)
        if error.filename is None:
            return _unexpected(error)
        reason = f"Cannot open '{error.filename}': {error.strerror}."
        return console.fail(reason, "", NotFoundError.exit_code, error)
    except Exception as error:  # noqa: BLE001 - the outermost layer: no bare traceback on a bug
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """Report an error that nothing else handles, too little memory or a bug; its exit code."""
    cause: BaseException | None = error
    while cause and not is_out_of_memory(cause):
        cause = cause.__cause__ or cause.__context__  # what memory ran out of may say otherwise
    if cause is None:
        return console.bug(error)
    hint = "Lower --batch-size, or free some."
    return console.fail("There is not enough memory.", hint, UnavailableError.exit_code, error)


def _in_words(error: click.ClickException) -> tuple[str, str]:
    """What click found wrong and what to do about it, alike in every version of click."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    hint = f"See {context.command_path} --help." if context else ""
    if isinstance(error, click.NoSuchOption):
        message = f"No such option '{error.option_name}'."
        parameters = context.command.get_params(context) if context else ()
        names = [name for known in parameters for name in (*known.opts, *known.secondary_opts)]
        hint = did_you_mean(error.option_name, names) or hint
    if message.startswith("Got unexpected extra arg"):
        # The shell fills in a pattern that has no quotes.
        hint = f"Put quotes around texts and patterns, and repeat an option for each file. {hint}"
    return message if message.endswith(".") else f"{message}.", hint
