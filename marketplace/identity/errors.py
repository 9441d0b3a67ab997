"""What identity refuses, and why."""

from __future__ import annotations

from marketplace.foundation import errors


class UnknownMember(errors.NotFound):
    code = "identity.unknown_member"
    title = "Unknown member"

    def __init__(self, username: str) -> None:
        super().__init__(f"There is no member {username!r}; an admin creates one.", username=username)


class UnknownKey(errors.NotFound):
    """No such key, or one of another member."""

    code = "identity.unknown_key"
    title = "Unknown key"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no key {key_id!r}.", key_id=key_id)


class MemberExists(errors.Conflict):
    code = "identity.member_exists"
    title = "Member exists"

    def __init__(self, username: str) -> None:
        super().__init__(f"There is a member {username!r} already; give it another key.", username=username)


class ExpiryPassed(errors.Conflict):
    code = "identity.expiry_passed"
    title = "Expiry passed"

    def __init__(self) -> None:
        super().__init__("The key would have expired already: choose a later expires_at.", field="expires_at")


class BeyondOwn(errors.Forbidden):
    """A key makes and revokes only keys that may do no more, and last no longer, than itself."""

    code = "identity.beyond_own"
    title = "Beyond the own key"

    def __init__(self, detail: str) -> None:
        super().__init__(f"{detail}; use a key that may do more, or ask an admin.")
