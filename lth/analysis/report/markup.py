"""HTML as a tree. Whatever is put into it is text: the serializer of the standard library escapes it."""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

Child = Element | str
SHORT = 26
_NUMBER = re.compile(r"([+-]?\d[\d,.]*(e[+-]\d+)?( ± [\d.]+)?|nan|–|-|)")


@dataclass(frozen=True)
class Picture:
    """An image file in memory; kind: its media type."""

    caption: str
    alt: str
    kind: str
    data: bytes


def element(tag: str, *children: Child, **attributes: str) -> Element:
    """An element with text and elements in it; `class_` is class, `http_equiv` http-equiv."""
    parent = Element(tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + child
        else:
            parent.text = (parent.text or "") + child
    return parent


def document(root: Element) -> str:
    """The page as text."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def table(
    header: Sequence[str],
    body: Iterable[Sequence[str]],
    caption: str,
    groups: Sequence[tuple[str, int]] = (),
) -> Element:
    """A table that scrolls by itself where it is wider than the page; columns of numbers are aligned to the right.
    groups: (name, columns) of a row of headings above the header.
    """
    lines = [tuple(line) for line in body]
    kinds = [_kind([line[column] for line in lines]) for column in range(len(header))]
    above = [element("th", name, scope="colgroup", colspan=str(width)) for name, width in groups]
    names = [element("th", name, scope="col", class_=kind) for name, kind in zip(header, kinds, strict=True)]
    rows = [
        element("tr", *(element("td", cell, class_=kind) for cell, kind in zip(line, kinds, strict=True)))
        for line in lines
    ]
    head = element("thead", *([element("tr", *above)] if groups else []), element("tr", *names))
    inside = element("table", head, element("tbody", *rows))
    return element("figure", element("figcaption", caption), _wide(inside, caption), class_="table")


def _kind(cells: Sequence[str]) -> str:
    """Of a column: numbers stand to the right, short texts on one line."""
    if all(_NUMBER.fullmatch(cell) for cell in cells):
        return "number"
    return "short" if max(map(len, cells)) <= SHORT else "text"


def image(picture: Picture) -> Element:
    """The picture inside the page, with its caption."""
    data = f"data:{picture.kind};base64,{base64.b64encode(picture.data).decode()}"
    shown = _wide(element("img", src=data, alt=picture.alt), picture.caption, "wide picture")
    return element("figure", shown, element("figcaption", picture.caption))


def _wide(inside: Element, name: str, kind: str = "wide") -> Element:
    """A box that scrolls; who has no pointing device scrolls it with the keys, so it can be focused and has a name."""
    return element("div", inside, class_=kind, role="region", tabindex="0", aria_label=name)
