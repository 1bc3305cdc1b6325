"""The elements below a root or an item, taken one by one; what nobody takes is kept raw."""

from typing import Final

from commonview.wire.manscdp.xml import Element, clean

MAX_DIGITS: Final = 20


class Body:
    """The elements under the root, taken one by one by a message; what nobody takes stays as `rest`."""

    __slots__ = ("_fields", "_more")

    def __init__(self, root: Element) -> None:
        fields: dict[str, Element] = {}
        more: list[Element] = []
        for child in root.children:
            if child.name in fields:
                more.append(child)
            else:
                fields[child.name] = child
        self._fields = fields
        self._more = more

    def take(self, name: str) -> Element | None:
        """Remove and return the element called `name`; letter case is disregarded as a second try."""
        found = self._fields.pop(name, None)
        if found is None and self._fields:
            folded = name.casefold()
            for key in self._fields:
                if key.casefold() == folded:
                    return self._fields.pop(key)
        return found

    def take_all(self, name: str) -> list[Element]:
        """Remove and return every element called `name`, in order; letter case as in `take`."""
        first = self.take(name)
        if first is None:
            return []
        found = [each for each in self._more if each.name == first.name]
        if found:
            self._more = [each for each in self._more if each.name != first.name]
        return [first, *found]

    def put_back(self, element: Element) -> None:
        """Keep an element that could not be understood with what nobody takes."""
        self._more.append(element)

    def names(self) -> tuple[str, ...]:
        """The names not taken yet, each once."""
        return tuple(self._fields)

    def text(self, name: str) -> str:
        """Take `name` and return its text; empty when absent, blank or "null"."""
        found = self.take(name)
        return "" if found is None else clean(found.text)

    def number(self, name: str) -> int | None:
        """Take `name` as a non-negative integer; None when absent or not a number of at most 20 digits."""
        return number(self.text(name))

    def rest(self) -> tuple[Element, ...]:
        """Everything not taken, in document order per name."""
        return (*self._fields.values(), *self._more)


def number(text: str) -> int | None:
    """A non-negative integer of at most 20 digits, else None."""
    return int(text) if len(text) <= MAX_DIGITS and text.isascii() and text.isdigit() else None
