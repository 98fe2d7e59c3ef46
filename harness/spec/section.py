"""What all sections of an experiment file have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Section(BaseModel):
    """A part of the experiment file: frozen, and an unknown key is an error.

    As all models of an experiment, its validator is built when the first value is: a command that needs few of them,
    and a guest above all, starts sooner.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, defer_build=True)


class StableSection(Section):
    """A section whose plain form omits the keys that were added later while they have their defaults.

    A file that uses none of them keeps the ids of its cells, and so its results.
    """

    added_later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        for name in self.added_later:
            field = type(self).model_fields[name]
            if getattr(self, name) == field.default:
                plain.pop(field.alias or name, None)
        return plain
