"""What pages refuse, and why."""

from __future__ import annotations

from marketplace.foundation import errors


class FormOutdated(errors.Forbidden):
    """A form without the token of the visitor who sent it: of an old page, or of a page that is not ours."""

    code = "dashboard.form_outdated"
    title = "Form outdated"

    def __init__(self) -> None:
        super().__init__("This form belongs to another visit, and nothing was done: load the page and send it again.")
