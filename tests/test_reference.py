"""Help that explains every key and choice, shell completion, and hints for what is missing."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import lth
from lth import cli
from lth.cli import completion
from lth.cli.config import CONF, reference
from lth.cli.config.compose import search_path
from lth.cli.config.explain import composing


def test_every_setting_group_option_and_key_has_a_line_that_explains_it() -> None:
    assert [key.name for key in reference.settings() if not key.meaning] == []
    found = reference.groups()
    assert [group for group in found if not reference.meaning(group)] == []
    options = [(group, option) for group, options in found.items() for option in options]
    assert [f"{group}={option.name}" for group, option in options if not option.meaning] == []
    assert [f"{group}.{key.name}" for group, option in options for key in option.keys if not key.meaning] == []


def test_help_lists_choices_with_their_docstrings_and_keys_with_their_comments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["run", "--help", "all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (movement,) = [line.split(maxsplit=1) for line in lines if line.split()[:1] == ["criterion=movement"]]
    assert movement[1] == "|W_T - W_k| (Zhou et al. 2019; not the movement pruning of Sanh et al. 2020)"
    (usual,) = [line.split()[1] for line in lines if line.startswith("* criterion=")]
    assert usual == "criterion=magnitude"
    (bits,) = [line.split("8, 4]")[1].strip() for line in lines if "quantization.aware.bits:" in line]
    assert bits == "of weights: 2 to 8, fp16 or bf16"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("As in Evci et al. 2022: 44,190 weights. More.", "As in Evci et al. 2022: 44,190 weights"),
        ("Two layers, e.g. Linear, i.e. A, vs. Three of them; cf. Caffe. More.",
         "Two layers, e.g. Linear, i.e. A, vs. Three of them; cf. Caffe"),
        ("What is final. hidden: widths.", "What is final"),
        ("W_T is final. It is trained.", "W_T is final"),
    ],
)  # fmt: skip
def test_a_summary_ends_with_its_sentence_and_not_at_an_abbreviation(text: str, first: str) -> None:
    assert reference.sentence(text) == first


def test_help_lists_settings_and_groups_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (steps,) = [line for line in lines if line.startswith("  steps: ")]
    assert "optimizer steps T of one training" in steps
    rewind = lines.index("  rewind: Rewinding: Trained -> (weights, step), the start of the next ticket")
    assert lines[rewind + 1] == "      fine_tune learning_rate weights*"


def test_help_on_some_groups_is_on_these_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--help", "rewind", "structure"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line.partition(":")[0] for line in lines if line and not line.startswith((" ", "*"))]
    assert heads == ["rewind", "structure"]
    assert {line.split()[1] for line in lines if line.startswith("*")} == {"rewind=weights", "structure=weight"}
    assert cli.main(["run", "--help", "hydra/launcher"]) == 0
    assert "hydra/launcher=slurm" in capsys.readouterr().out
    assert cli.main(["run", "--help", "critera"]) == 2
    assert "there is no config group 'critera'. Did you mean criterion?" in capsys.readouterr().err


def test_help_lists_the_users_own_groups_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "conf_mine" / "criterion"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# relative change\n_target_: mine.scores\nfloor: 0.1 # least denominator\n")
    assert cli.main(["run", "--help", "criterion", "--config-dir", "conf_mine"]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert ["criterion=mine", "relative", "change"] in lines
    assert ["criterion.floor:", "0.1", "least denominator"] in lines


def test_groups_and_options_are_those_that_hydra_finds() -> None:
    mine = Path("conf_mine")
    (mine / "criterion").mkdir(parents=True)
    (mine / "criterion" / "mine.yaml").write_text("_target_: mine.scores\n")
    given: Any = {"config_name": "config", "overrides": search_path(mine)}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        hydras = {
            folder.name: loader.get_group_options(folder.name, **given) for folder in CONF.iterdir() if folder.is_dir()
        }
    found = {group: {option.name for option in options} for group, options in reference.groups(mine).items()}
    del hydras["hydra"]
    assert {group: {name for name in names if "/" not in name} for group, names in found.items()} == {
        group: {*names} for group, names in hydras.items()
    }
    assert "mine" in found["criterion"]


def test_the_version_is_that_of_lth(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--version"]) == 0
    assert capsys.readouterr().out == f"lth {lth.__version__}\n"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("quantization.aware.bits=[4]", "belongs to quantization=aware: choose that"),
        pytest.param(
            "quantization.post_training.transform.images=5",
            "belongs to quantization=post_training",
            marks=pytest.mark.long,
        ),
        pytest.param("stop.size.below=5", "belongs to stop=size", marks=pytest.mark.long),
        pytest.param("branch.shuffle.draws=2", "belongs to branch=shuffle", marks=pytest.mark.long),
        pytest.param("updater.density=0.5", "belongs to updater=gradual", marks=pytest.mark.long),
        pytest.param("model.hidden=[5]", "belongs to model=mlp", marks=pytest.mark.long),
        ("optimizer.amsgrad=true", "+optimizer.amsgrad=... adds it"),
        ("lr.end=0.5", "belongs to lr=cosine, lr=exponential, lr=linear, lr=one_cycle: choose one of them"),
        pytest.param("optimizer.rho=0.5", "belongs to optimizer=adadelta: choose that", marks=pytest.mark.long),
        ("stepz=5", "Did you mean steps"),
        ("hydra/launcher=submitit_slurm", "pip install 'lth[slurm]'"),
        ("hydra/launcher=slurm", "hydra/launcher=slurm: pip install 'lth[slurm]'"),
        pytest.param("hydra/launcher=slurm_gpu", "pip install 'lth[slurm]'", marks=pytest.mark.long),
        ("hydra/launcher=ray", "pip install 'lth[ray]'"),
    ],
)
def test_a_key_of_a_group_that_is_off_and_a_missing_launcher_come_with_their_remedy(
    override: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", override]) == 2
    assert said in capsys.readouterr().err


# ---- completion


def completed(typed: str) -> list[str]:
    """What bash offers behind a line."""
    words = typed.replace("=", " = ").split(" ")
    code = f"""source c.sh 2> /dev/null
COMP_LINE='{typed}' COMP_POINT={len(typed)} COMP_CWORD={len(words) - 1} COMP_WORDS=({typed})
_lth 2> /dev/null
printf '%s\\n' "${{COMPREPLY[@]}}" """
    Path("c.sh").write_text(completion.script("bash"), encoding="utf-8")
    said = subprocess.run(["bash", "-c", code], capture_output=True, encoding="utf-8", check=True)
    return said.stdout.split()


def test_bash_completes_commands_choices_keys_options_and_stored_experiments(tmp_path: Path) -> None:
    (tmp_path / "runs" / "experiments" / "my_sweep").mkdir(parents=True)
    assert completed("lth com") == ["compare", "compress", "completion"]
    assert completed("lth run criterion=mo") == ["movement"]
    assert completed("lth run quantization.aware.b") == ["quantization.aware.bits="]
    assert completed("lth run hydra/launcher=sl") == ["slurm", "slurm_gpu"]
    assert completed("lth plot my") == ["my_sweep"]
    (tmp_path / "runs" / "experiments" / "my other").mkdir()  # which is not a word
    assert completed("lth plot my") == ["my_sweep"]
    (tmp_path / "runs" / "experiments" / "my$(touch${IFS}ran)").mkdir()  # a shell would run it
    assert completed("lth plot my") == ["my_sweep"]
    assert not Path("ran").exists()
    assert completed("lth plot my_sweep --ro") == ["--rows"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_with_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    said = capsys.readouterr().out
    for word in ("migrate", "criterion=snip", "evaluate_every=", "--against"):
        assert word in said


def test_a_configuration_is_composed_while_another_one_is() -> None:
    with composing():
        with composing():
            assert compose("config", ["levels=3"]).levels == 3
        assert compose("config", ["levels=4"]).levels == 4
    assert not GlobalHydra.instance().is_initialized()
