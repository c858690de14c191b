"""Overrides as they are typed, such as +branch@b.mine=shuffle. Imports no Hydra."""

PATHS = ("root", "data.root", "data.cache")  # keys whose values are folders


def key_of(override: str) -> str:
    """The key or group of an override, without its sign, package and value."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]
