"""`lth completion`: a script that completes commands, options, groups, keys and stored experiments in a shell."""

import argparse
from collections.abc import Mapping, Sequence

# But for names that a list of words can't hold, or that a shell would read as more than a word.
STORED = "$(ls runs/experiments 2>/dev/null | grep -xE '[[:alnum:]._+,=@%-]+')"
Words = Mapping[str, tuple[Sequence[str], bool]]
BASH = """_lth() {{
  local cur="${{COMP_LINE:0:COMP_POINT}}" words front
  cur="${{cur##* }}"
  if ((COMP_CWORD == 1)); then words="{commands}"; else
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
  front="${{cur%"${{cur##*=}}"}}"
  COMPREPLY=("${{COMPREPLY[@]#"$front"}}")
}}
complete -o default -F _lth lth
"""
ZSH = """#compdef lth
_lth() {{
  local -a found
  if ((CURRENT == 2)); then found=({commands}); else
    case "$words[2]" in
{cases}
    esac
  fi
  compadd -S '' -- ${{found:#^*=}}
  compadd -- ${{found:#*=}}
  _files
}}
compdef _lth lth
"""


def main(arguments: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    print(script(arguments.shell), end="")
    return 0


def script(shell: str) -> str:
    """The script of a shell: bash, zsh or fish."""
    from lth.cli.config import reference
    from lth.cli.parser import options

    given = options() | {"run": ([*reference.words(), "--help"], False)}
    if shell == "fish":
        return _fish(given)
    template, name, mark = (BASH, "words", '"') if shell == "bash" else (ZSH, "found", "")
    return template.format(commands=" ".join(given), cases=_cases(given, name, mark))


def _cases(given: Words, name: str, mark: str) -> str:
    opens, closes = (mark, mark) if mark else ("(", ")")
    return "\n".join(
        f"      {command}) {name}={opens}{' '.join([*words, *([STORED] if named else [])])}{closes} ;;"
        for command, (words, named) in given.items()
    )


def _fish(given: Words) -> str:
    lines = [f'complete -c lth -n __fish_use_subcommand -f -a "{" ".join(given)}"']
    for command, (words, named) in given.items():
        stored = [STORED.replace("$(", "(")] if named else []
        lines.append(f'complete -c lth -n "__fish_seen_subcommand_from {command}" -a "{" ".join(words)}"')
        lines += [f'complete -c lth -n "__fish_seen_subcommand_from {command}" -a "{each}"' for each in stored]
    return "\n".join(lines) + "\n"
