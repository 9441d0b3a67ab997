"""The spot market: containers that run until somebody pays more, on nodes of limited room, billed by the second."""
