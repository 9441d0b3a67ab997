"""What auctions refuse, and why."""

from __future__ import annotations

from marketplace.foundation import errors


class BadBook(errors.Invalid):
    """A setting of a book that is out of its bounds."""

    code = "auctions.bad_book"
    title = "Bad setting of a book"


class BadAmount(errors.Invalid):
    """No amount that an order or a bid can have: not above 0, or too large."""

    code = "auctions.bad_amount"
    title = "Bad amount"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} has to be more than 0 and at most a thousand million credits.", field=field)


class BadRate(errors.Invalid):
    """No conversion rate: it is a decimal number above 0, of at most 12 digits before the point and 18 after it."""

    code = "auctions.bad_rate"
    title = "Bad conversion rate"

    def __init__(self, rate: str) -> None:
        super().__init__(
            f"{rate[:40]!r} is no conversion rate: it is a decimal number above 0, as 0.75 or 12.",
            field="conversion_rate",
        )


class BadText(errors.Invalid):
    """A description or a payload that cannot be kept: empty, too long, no JSON, or with a null character."""

    code = "auctions.bad_text"
    title = "Bad text"

    def __init__(self, field: str, clause: str) -> None:
        super().__init__(f"The {field} {clause}.", field=field)


class InstantPassed(errors.Invalid):
    """A time that has to lie ahead does not."""

    code = "auctions.instant_passed"
    title = "Time has passed"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} has to lie in the future.", field=field)


class OverBudget(errors.Conflict):
    """The bid asks for more input than the order's budget."""

    code = "auctions.over_budget"
    title = "Over budget"

    def __init__(self, order_id: int, *, budget: str) -> None:
        super().__init__(f"The order {order_id} gives at most {budget}.", order_id=order_id, input_budget=budget)


class BelowLimit(errors.Conflict):
    """The bid promises less output than the order's limit, or less than the smallest unit."""

    code = "auctions.below_limit"
    title = "Below the limit"

    def __init__(self, order_id: int, *, limit: str, output: str) -> None:
        super().__init__(
            f"The order {order_id} wants at least {limit}, and the bid promises {output}.",
            order_id=order_id,
            limit_output=limit,
            min_output=output,
        )


class UnknownBook(errors.NotFound):
    code = "auctions.unknown_book"
    title = "Unknown book"

    def __init__(self, book: str) -> None:
        super().__init__(f"There is no auction book {book!r}.", book=book)


class UnknownOrder(errors.NotFound):
    """No such order, or one that is not this caller's."""

    code = "auctions.unknown_order"
    title = "Unknown order"

    def __init__(self, order_id: int) -> None:
        super().__init__(f"There is no order {order_id}.", order_id=order_id)


class UnknownCommitment(errors.NotFound):
    """No commitment of this solver for the order is under way."""

    code = "auctions.unknown_commitment"
    title = "Unknown commitment"

    def __init__(self, order_id: int, solver: str) -> None:
        super().__init__(f"{solver!r} has no commitment under way for the order {order_id}.", order_id=order_id)


class BookExists(errors.Conflict):
    code = "auctions.book_exists"
    title = "Book exists"

    def __init__(self, book: str) -> None:
        super().__init__(f"There is an auction book {book!r} already.", book=book)


class OrderClosed(errors.Conflict):
    """The order takes no bids: it is not announced yet, filled, expired or cancelled."""

    code = "auctions.order_closed"
    title = "Order closed"

    def __init__(self, order_id: int, state: str) -> None:
        super().__init__(f"The order {order_id} takes no bids: it is {state}.", order_id=order_id, state=state)


class NotCancellable(errors.Conflict):
    """Once a solver is committed, or the order is over, it cannot be cancelled."""

    code = "auctions.not_cancellable"
    title = "Not cancellable"

    def __init__(self, order_id: int, state: str) -> None:
        super().__init__(f"The order {order_id} cannot be cancelled: it is {state}.", order_id=order_id, state=state)


class OwnOrder(errors.Conflict):
    code = "auctions.own_order"
    title = "Own order"

    def __init__(self, order_id: int) -> None:
        super().__init__(f"Nobody bids on their own order {order_id}.", order_id=order_id)


class SolverBlocked(errors.Conflict):
    """The solver failed too many of its commitments, and may not bid for a while."""

    code = "auctions.solver_blocked"
    title = "Solver blocked"
    storable = False

    def __init__(self, solver: str, *, blocked_until: int) -> None:
        super().__init__(
            f"{solver!r} failed too often and may bid again later: see blocked_until.", blocked_until=blocked_until
        )


class TooManyBids(errors.Conflict):
    """As many solvers as an order can have bid on it already."""

    code = "auctions.too_many_bids"
    title = "Too many bids"

    def __init__(self, order_id: int, most: int) -> None:
        super().__init__(f"The order {order_id} has bids of {most} solvers, which is the most.", order_id=order_id)


class TooLate(errors.Conflict):
    """Deadline and grace are over: nothing was taken."""

    code = "auctions.too_late"
    title = "Too late"

    def __init__(self, order_id: int) -> None:
        super().__init__(
            f"The deadline for the order {order_id} and its grace have passed; nothing was taken.", order_id=order_id
        )


class TooManyDeposits(errors.Conflict):
    """A commitment takes so many deposits; put what is missing into one."""

    code = "auctions.too_many_deposits"
    title = "Too many deposits"

    def __init__(self, order_id: int, most: int) -> None:
        super().__init__(f"The commitment for the order {order_id} has {most} deposits already.", order_id=order_id)


class WrongEscrow(errors.Conflict):
    """The book takes deposits where a claim was made, or claims where a deposit was."""

    code = "auctions.wrong_escrow"
    title = "Wrong kind of escrow"

    def __init__(self, order_id: int, escrow: str) -> None:
        wanted = "deposits" if escrow == "ledger" else "claims"
        super().__init__(f"The commitment for the order {order_id} is kept by {wanted}.", order_id=order_id)


class NoSuchCommitment(errors.NotFound):
    code = "auctions.no_such_commitment"
    title = "No such commitment"

    def __init__(self, book: str, commitment_id: int) -> None:
        super().__init__(f"There is no commitment {commitment_id} in the book {book!r}.", commitment_id=commitment_id)


class UnknownSolver(errors.NotFound):
    """Nobody of this name was ever committed in the book."""

    code = "auctions.unknown_solver"
    title = "Unknown solver"

    def __init__(self, book: str, solver: str) -> None:
        super().__init__(f"No solver {solver!r} was committed in the book {book!r} yet.", solver=solver)


class ReferenceTaken(errors.Conflict):
    """The reference was used for another deposit of this commitment: take a new one."""

    code = "auctions.reference_taken"
    title = "Reference taken"

    def __init__(self, reference: str) -> None:
        super().__init__(f"The reference {reference!r} was used for another deposit.", reference=reference)
