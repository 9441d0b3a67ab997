"""The spot market: containers that run until somebody pays more, on nodes of limited room, billed by the second.

So far it has its rules (`placement`, `pricing`, `metering`) and its backends, where containers run (`compute`).
"""
