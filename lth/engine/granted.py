"""GPUs that a scheduler granted, by the environment."""

import os

import torch

from lth import UserError

NONE = ("", "-1", "NoDevFiles")  # values of CUDA_VISIBLE_DEVICES that hide all GPUs


def check_granted(device: str) -> None:
    """Raise UserError if a GPU was granted or chosen, and an automatic device would be the CPU since PyTorch sees no
    GPU: nothing else would tell that days of computation go to the wrong place.
    """
    if device in ("auto", "gpu", "cuda") and (grant := _grant()) and not _has_gpu():
        build = torch.version.cuda or torch.version.hip
        why = "nvidia-smi shows whether its driver works" if build else "this build of PyTorch is one without CUDA"
        raise UserError(
            f"device={device}: a GPU was granted ({grant}), and PyTorch {torch.__version__} sees none: {why}. "
            "device=cpu trains on the CPU",
            code=1,
        )


def _grant() -> str:
    """The variable that grants a GPU, with its value; empty if none does, or if all are hidden on purpose."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is not None and seen.partition(",")[0].strip() in NONE:
        return ""
    if seen is not None:
        return f"CUDA_VISIBLE_DEVICES={seen}"
    for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS"):  # numbers of devices, the first of which is 0
        if value := os.environ.get(name):
            return f"{name}={value}"
    count = os.environ.get("SLURM_GPUS_ON_NODE", "0")
    return f"SLURM_GPUS_ON_NODE={count}" if count not in ("", "0") else ""


def _has_gpu() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()
