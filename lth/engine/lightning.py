"""Lightning, imported without the metrics that it has no use for: they are two fifths of its import.

Lightning asks torchmetrics for two base classes and a version. The `__init__` of that package imports every metric,
and scipy and torchvision for them. So, unless it is imported already, the package is entered with what Lightning asks
for, and its `__init__` is executed as soon as anybody asks for another name: nobody sees a difference.
"""

import importlib.util
import logging
import os
import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any

METRICS = "torchmetrics"


class _Deferred(ModuleType):
    """A package whose `__init__` is executed when a name is missing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__spec__ is None or self.__spec__.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _defer_metrics() -> None:
    spec = importlib.util.find_spec(METRICS)
    if spec is None or METRICS in sys.modules:
        return
    package: Any = importlib.util.module_from_spec(spec)
    package.__class__, sys.modules[METRICS] = _Deferred, package
    try:
        package.__version__, package._logger = version(METRICS), logging.getLogger(METRICS)
        importlib.import_module(f"{METRICS}.utilities")  # before the base class, which it imports itself
        package.Metric = importlib.import_module(f"{METRICS}.metric").Metric
        package.MetricCollection = importlib.import_module(f"{METRICS}.collections").MetricCollection
    except (ImportError, AttributeError):  # of a version that is made otherwise: Lightning imports all of it
        for name in [name for name in sys.modules if name.partition(".")[0] == METRICS]:
            del sys.modules[name]


_defer_metrics()

import pytorch_lightning as pl  # noqa: E402
from lightning_fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined] # noqa: E402
from lightning_fabric.utilities.exceptions import MisconfigurationException  # noqa: E402

# Lightning sets "1" when it is imported; then every optimizer step searches the disk for NVIDIA's library where there
# is none: 0.2 ms, a seventh of a step of LeNet. "0" is PyTorch's own default.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"

__all__ = ["LightningEnvironment", "MisconfigurationException", "pl"]
