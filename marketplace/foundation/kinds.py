"""Kinds of events: what each module says that its entries of the log mean, and who may read them."""

from __future__ import annotations

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """A kind of event. `data` is the struct that its data is, tagged with the kind's name.

    A public one names no member, and everybody may read it; any other is read by the member that it is about, and by
    administrators.
    """

    topic: str
    data: type[msgspec.Struct]
    meaning: str
    is_public: bool = False

    @property
    def name(self) -> str:
        return str(self.data.__struct_config__.tag)
