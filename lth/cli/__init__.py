"""The command `lth` and its subcommands."""

import gc
import sys

# What the extra "deploy" installs.
DEPLOY = {"onnx", "onnxruntime", "onnxscript"}


def entry() -> int:
    """`main` as the whole of a process."""
    code = main()
    gc.freeze()  # the last collection would go through all objects of PyTorch for more than a second, to free none
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run `lth` with these arguments; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["run"]:  # Hydra reads what is behind it
            from lth import run

            return run.main(given[1:])
        from lth.cli.parser import parsed

        chosen = parsed(given)
        return int(chosen.command(chosen))
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in DEPLOY:
            raise
        print(f"lth {given[0]}: {error.name} is not installed: pip install 'lth[deploy]'", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"lth {given[0]}: {error}", file=sys.stderr)
        return 1
