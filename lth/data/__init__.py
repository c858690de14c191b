"""Data sets as arrays, and the order of training batches."""

from lth.data.corpus import text
from lth.data.dataset import Data, Split
from lth.data.large import image_folder, streamed
from lth.data.order import rows
from lth.data.scaling import Examples, normalized, scaler
from lth.data.smaller import limited, resized
from lth.data.source import cifar10, cifar100, fashion_mnist, mnist, mnist_5k
from lth.data.table import diabetes

__all__ = [
    "Data",
    "Examples",
    "Split",
    "cifar10",
    "cifar100",
    "diabetes",
    "fashion_mnist",
    "image_folder",
    "limited",
    "mnist",
    "mnist_5k",
    "normalized",
    "resized",
    "rows",
    "scaler",
    "streamed",
    "text",
]
