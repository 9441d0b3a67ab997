"""Wallets and what moves between them: double entry, nothing lost."""
