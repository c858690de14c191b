"""GPUs that a scheduler grants, and PyTorch does not see."""

from pathlib import Path

import pytest
import torch
from shell import run

from lth import UserError
from lth.engine.granted import check_granted

NAMES = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE")
pytestmark = pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="a machine without a GPU"
)


def given(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for word in environment.split():
        monkeypatch.setenv(*word.split("=", 1))


GRANTS = ["SLURM_JOB_GPUS=0", "SLURM_STEP_GPUS=1,2", "SLURM_GPUS_ON_NODE=1", "CUDA_VISIBLE_DEVICES=0",
          "CUDA_VISIBLE_DEVICES=GPU-5ebe"]  # fmt: skip
NO_GRANTS = ["", "SLURM_JOB_GPUS=", "SLURM_GPUS_ON_NODE=0", "CUDA_VISIBLE_DEVICES=", "CUDA_VISIBLE_DEVICES=-1",
             "CUDA_VISIBLE_DEVICES=-1,0", "CUDA_VISIBLE_DEVICES=NoDevFiles", "CUDA_VISIBLE_DEVICES= SLURM_JOB_GPUS=0",
             "CUDA_VISIBLE_DEVICES=-1 SLURM_GPUS_ON_NODE=2"]  # fmt: skip


@pytest.mark.parametrize("environment", GRANTS)
@pytest.mark.parametrize("device", ["auto", "gpu"])
def test_a_gpu_that_is_granted_and_not_seen_is_an_error(
    environment: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, environment)
    with pytest.raises(UserError, match=rf"device={device}: a GPU was granted \({environment}\), .* device=cpu trains"):
        check_granted(device)
    check_granted("cpu")


@pytest.mark.parametrize("environment", NO_GRANTS)
def test_without_a_grant_or_with_all_gpus_hidden_the_cpu_it_is(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, environment)
    check_granted("auto")


@pytest.mark.long
def test_nothing_is_trained_before_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, "SLURM_JOB_GPUS=0")
    assert run("root=here") == 1
    assert "failed: device=auto: a GPU was granted (SLURM_JOB_GPUS=0)" in capsys.readouterr().out
    assert not Path("here/trained").exists()
