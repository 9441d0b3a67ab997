"""The spot market: containers that run until somebody pays more.

So far it has its backends, where containers run: `compute`.
"""
