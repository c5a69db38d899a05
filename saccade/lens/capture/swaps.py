"""Functions of others, swapped while somebody looks, and put back when the last one who looks has gone."""

import threading
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple, Protocol


class Watch(Protocol):
    """What is done around a call that is passed on."""

    def enter(self, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """Before the call; `given` may be changed. What it returns, `leave` gets."""

    def leave(self, state: Any, args: tuple[Any, ...], given: dict[str, Any], found: Any) -> Any:
        """After the call, what the caller gets; `found` is None where the call failed."""


class _Swap(NamedTuple):
    where: MutableMapping[str, Any]
    name: str
    before: tuple[Any, ...]  # what stood there, if anything
    lookers: list[object]


_swaps: dict[tuple[int, str], _Swap] = {}
_lock = threading.RLock()


def passing(real: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    """The same function, watched."""

    def passed(*args: Any, **given: Any) -> Any:
        state = watch.enter(args, given)
        found = None
        try:
            found = real(*args, **given)
        finally:
            found = watch.leave(state, args, given, found)
        return found

    return passed


def swap(looker: object, where: MutableMapping[str, Any], name: str, real: Callable[..., Any], watch: Watch) -> None:
    """Let `where[name]` be `real`, watched, until `looker` and all others who want it so have left."""
    with _lock:
        at = id(where), name
        if at not in _swaps:
            _swaps[at] = _Swap(where, name, (where[name],) if name in where else (), [])
            where[name] = passing(real, watch)
        _swaps[at].lookers.append(looker)


def restore(looker: object) -> None:
    """Leave everything as it was, where nobody else looks."""
    with _lock:
        for at, one in list(_swaps.items()):
            one.lookers[:] = [other for other in one.lookers if other is not looker]
            if not one.lookers:
                del _swaps[at]
                if one.before:
                    one.where[one.name] = one.before[0]
                else:
                    one.where.pop(one.name, None)
