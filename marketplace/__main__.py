"""`python -m marketplace` is the same as `marketplace`."""

from marketplace.cli import main

main()
