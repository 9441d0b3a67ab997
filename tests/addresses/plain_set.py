"""A network as plain sets: slow, obviously right, and sharing no code with the real one."""

from __future__ import annotations


class PlainSet:
    """Who has which offset, and until when the others rest. Instants are in any unit."""

    def __init__(self, usable: set[int], *, allocation: str, delay: int) -> None:
        self.usable = usable
        self.is_random = allocation == "random"
        self.delay = delay
        self.held: dict[int, str] = {}
        self.resting: dict[int, int] = {}

    def set_clock(self, now: int) -> None:
        self.now = now
        self.resting = {offset: until for offset, until in self.resting.items() if until > now}

    @property
    def available(self) -> set[int]:
        return self.usable - self.held.keys() - self.resting.keys()

    def allowed(self) -> set[int] | None:
        """Return what may be picked now; None if nothing is left."""
        if self.available:
            return self.available if self.is_random else {min(self.available)}
        if self.resting:
            return {min(self.resting, key=lambda offset: (self.resting[offset], offset))}
        return None

    def take(self, offset: int, vm_id: str = "somebody") -> None:
        assert offset in self.usable
        assert offset not in self.held
        self.held[offset] = vm_id
        self.resting.pop(offset, None)

    def give_back(self, offset: int) -> None:
        del self.held[offset]
        if self.delay:
            self.resting[offset] = self.now + self.delay
