"""`lth compress`: stored nets as files, what each is worth, and the front of them; `lth export`: one of these files."""

from lth.compress.file import File, file, files, masked_net
from lth.compress.main import chosen, main, write
from lth.compress.score import markdown, scored

__all__ = ["File", "chosen", "file", "files", "main", "markdown", "masked_net", "scored", "write"]
