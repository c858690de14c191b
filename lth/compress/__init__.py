"""Smaller nets and files: compaction, layouts, formats, and what each is worth."""

from lth.compress.formats import File, file, files, masked_net
from lth.compress.scores import markdown, scored

__all__ = ["File", "file", "files", "markdown", "masked_net", "scored"]
