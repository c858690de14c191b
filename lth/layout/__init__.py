"""`lth layout`: what pruning is worth on this machine, by how a net is stored."""

from lth.layout.form import Layout, Sparse, layouts
from lth.layout.main import main, markdown, measured
from lth.layout.speed import accuracy, latencies

__all__ = ["Layout", "Sparse", "accuracy", "latencies", "layouts", "main", "markdown", "measured"]
