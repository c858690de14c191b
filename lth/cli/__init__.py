"""The command `lth`: one file per subcommand, each with `main(arguments) -> exit code`."""

import gc
import importlib
import io
import os
import sys

from lth import UserError

# Packages that the extra "deploy" installs.
DEPLOY = {"onnx", "onnxruntime", "onnxscript"}


def entry() -> int:
    """Run `main` as the whole of a process."""
    gc.disable()  # what is imported stays: to look for garbage in it takes half a second
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # 25 MB less than the pools that Arrow has of its own
    code = main()
    gc.freeze()  # the last collection would go through all objects of PyTorch for more than a second, to free none
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run `lth` with these arguments; returns the exit code. Errors become one line on stderr, with --debug behind
    their traceback.
    """
    given = sys.argv[1:] if arguments is None else arguments
    print_anything()
    try:
        return _run(given)
    except KeyboardInterrupt:
        print(f"lth {given[0]}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has read enough
        from lth.cli.handlers import give_to_nobody

        give_to_nobody(sys.stdout.fileno())
        return 141
    except Exception as error:
        from lth.cli import failure

        trace, line = failure.report(error, debug="--debug" in given)
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in DEPLOY:
            trace, line = "", f"{error.name} is not installed: pip install 'lth[deploy]'"
        print(f"{trace}lth {given[0]}: {line}", file=sys.stderr)
        return error.code if isinstance(error, UserError) else 1


def imports_done() -> None:
    """Collect garbage again, and never look for it in what is there so far."""
    gc.freeze()
    gc.enable()


def print_anything() -> None:
    """Escape what the encoding of a terminal does not have, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(given: list[str]) -> int:
    if given[:1] == ["run"]:  # Hydra parses what follows
        from lth.cli import config

        return config.main(given[1:])
    from lth.cli.parser import parsed

    options = parsed(given)
    name = "garbage" if options.command == "gc" else options.command  # gc is a module of Python
    command = importlib.import_module(f"lth.cli.{name}")
    imports_done()
    return int(command.main(options))
