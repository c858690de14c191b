"""Digest of a user's own function: its code, and the code it reaches in the user's files.

Names are followed over syntax trees, from the top-level statement that defines the function to those that bind the
names it uses, and through imports. Statements that bind no name, such as `TABLE["a"] = 3`, count as soon as something
in their module does. Nothing is imported or run. In doubt, more is included.
"""

from lth.store.source.fingerprint import Source, source, source_now
from lth.store.source.module import is_users

__all__ = ["Source", "is_users", "source", "source_now"]
