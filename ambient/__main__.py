"""`python -m ambient`: the same as the command `ambient`."""

from ambient.cli import main

main()
