"""A control's value against the bounds that its document field declares: what is outside is told in words."""

import math
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from app import texts
from engine.errors import StudioError
from engine.project.document import Document


@dataclass(frozen=True)
class Bounds:
    """Of one field. ``choices`` () = any number from ``low`` to ``high``; ``step`` 0 = as fine as one likes."""

    default: Any
    low: float | None = None
    high: float | None = None
    step: float = 0
    choices: tuple[Any, ...] = ()


def bounds_of(model: type[Document], field: str) -> Bounds:
    """The bounds and the default that ``model`` declares for ``field``."""
    info: FieldInfo = model.model_fields[field]
    limits: dict[str, float] = {}
    for rule in info.metadata:
        for name in ("ge", "le", "multiple_of"):
            if getattr(rule, name, None) is not None:
                limits[name] = getattr(rule, name)
    choices = (True, False) if info.annotation is bool else _choices(info.annotation)
    step = limits.get("multiple_of", 1 if info.annotation is int else 0)
    return Bounds(info.get_default(call_default_factory=True), limits.get("ge"), limits.get("le"), step, choices)


def set_field(document: Document, field: str, value: Any) -> None:
    """Give ``field`` of ``document`` a value. Raises StudioError with the field in words, its bounds and its default
    where the document does not take it; nothing is changed then."""
    bounds = bounds_of(type(document), field)
    try:
        setattr(document, field, _answer(value, bounds))
    except (ValueError, TypeError, OverflowError) as error:  # pydantic's ValidationError is a ValueError
        raise _refused(field, value, bounds) from error


def _answer(value: Any, bounds: Bounds) -> Any:
    """``value``, or ValueError for what pydantic would let through although it is no answer: yes or infinity for a
    number, a number for yes."""
    if bounds.choices:
        found = [choice for choice in bounds.choices if _same(value, choice)]
        if not found:
            raise ValueError(value)
        return found[0]
    if bounds.low is not None and (isinstance(value, bool) or not math.isfinite(float(value))):
        raise ValueError(value)
    return value


def _same(value: Any, choice: Any) -> bool:
    numbers = isinstance(value, int | float) and isinstance(choice, int | float)
    alike = numbers and isinstance(value, bool) == isinstance(choice, bool)
    return value is choice or ((alike or isinstance(value, str)) and value == choice)


def _refused(field: str, value: Any, bounds: Bounds) -> StudioError:
    given = value if isinstance(value, int | float | bool) else repr(str(value)[:40])
    told = texts.OUT_OF_BOUNDS.format(what=texts.FIELD_NAMES[field], allowed=_allowed(bounds), given=given)
    return StudioError(told, texts.OUT_OF_BOUNDS_REMEDY.format(default=_shown(bounds.default)))


def _allowed(bounds: Bounds) -> str:
    if bounds.choices:
        return texts.ONE_OF.format(choices=", ".join(_shown(choice) for choice in bounds.choices))
    between = {1: texts.WHOLE_BETWEEN, 2: texts.EVEN_BETWEEN}.get(int(bounds.step), texts.BETWEEN)
    return between.format(low=_shown(bounds.low), high=_shown(bounds.high))


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return texts.PLAIN_VALUES[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a Literal, also inside Annotated and unions (None counts as one)."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _choices(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        found = [choice for part in get_args(annotation) for choice in _choices(part)]
        return (*found, *([None] if type(None) in get_args(annotation) else [])) if found else ()
    return ()
