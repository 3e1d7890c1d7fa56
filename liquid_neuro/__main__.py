"""The command line: `liquid-neuro COMMAND`, one file per command in liquid_neuro/commands.

Exit codes: 0 done, 1 a goal or check was not met, 2 wrong input, 70 a fault in this program, 130 interrupted. A user's mistake is one
sentence on the error stream; set LIQUID_NEURO_TRACEBACK=1 to see where it, or a fault, was found. Results go to the
output stream, progress to the error stream.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from liquid_neuro.commands import codesign, demo, estimate, export, import_ncps, map, profiles, quantize, report, simulate, train, verify

COMMANDS = {
    "demo": demo,
    "train": train,
    "import-ncps": import_ncps,
    "simulate": simulate,
    "quantize": quantize,
    "map": map,
    "estimate": estimate,
    "export": export,
    "verify": verify,
    "codesign": codesign,
    "profiles": profiles,
    "report": report,
}
WRONG_INPUT, FAULT, INTERRUPTED = 2, 70, 130
SUMMARY = """Liquid neural networks on neuromorphic and small hardware:
train or import, simulate asynchronously, quantise, map, export, and know error, energy and latency before owning the chip."""


def _application() -> typer.Typer:
    application = typer.Typer(
        name="liquid-neuro",
        help=SUMMARY,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    application.callback()(_options)
    for name, module in COMMANDS.items():
        application.command(name, epilog=f"Example: [bold]{module.EXAMPLE}[/bold]")(module.run)
    return application


def _options(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True, callback=lambda on: _version(on)),
) -> None:
    """Options before the command."""


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("liquid-neuro"))
        raise typer.Exit


def _sentence(error: BaseException) -> str:
    """An error as one line: its own sentence, or what the operating system says about a file."""
    if isinstance(error, OSError) and error.strerror:
        place = f' "{error.filename}"' if error.filename else ""
        return f"file{place} must be usable, but is not: {error.strerror}"
    text = error.format_message() if hasattr(error, "format_message") else str(error)  # typer's own errors about arguments
    return " ".join(text.split()) or type(error).__name__


def _fault(error: Exception) -> str:
    """The kind of an unexpected error and what it says, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _missing_extra(error: ImportError) -> str:
    extras = {"jax": "demo", "jaxlib": "demo", "optax": "demo", "plotly": "report", "torch": "", "lava": "lava"}
    package = (error.name or "").split(".")[0]
    if package not in extras:
        return ""
    wanted = f"'liquid-neuro[{extras[package]}]'" if extras[package] else package
    python = " (Python 3.11 or later)" if extras[package] == "demo" else ""
    return f"this command needs {package}, but it is not installed; run: pip install {wanted}{python}"


def _is_users_mistake(error: BaseException) -> bool:
    """Whether the error speaks of the input (library errors are ValueErrors with a sentence) and not of a fault in this program."""
    names = {item.__name__ for item in type(error).__mro__}
    return bool(names & {"ValueError", "ClickException", "OSError", "ProfileError", "MappingError", "ExportError"})


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    command: Any = typer.main.get_command(_application())
    try:
        result = command.main(args=arguments, prog_name="liquid-neuro", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except BrokenPipeError:  # the reader is gone: nothing more to say, and no complaint at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        code = _failed(error)
    if code == INTERRUPTED:
        print("liquid-neuro: interrupted", file=sys.stderr)
    return code


def _failed(error: Exception) -> int:
    """Say what is wrong in one sentence, and the exit code; with LIQUID_NEURO_TRACEBACK the error is raised again."""
    if type(error).__name__ == "NoArgsIsHelpError":  # no command: the help
        print(_help(error), file=sys.stderr)
        return WRONG_INPUT
    sentence = _missing_extra(error) if isinstance(error, ImportError) else ""
    if os.environ.get("LIQUID_NEURO_TRACEBACK"):
        raise error
    if not (sentence or _is_users_mistake(error)):
        print(f"liquid-neuro: fault in the program ({_fault(error)}); set LIQUID_NEURO_TRACEBACK=1 to see where", file=sys.stderr)
        return FAULT
    print(f"liquid-neuro: {sentence or _sentence(error)}", file=sys.stderr)
    return WRONG_INPUT


def _help(error: Any) -> str:
    return str(error.format_message())


def main() -> None:
    """The program `liquid-neuro`."""
    sys.exit(run())


if __name__ == "__main__":
    main()
