"""`python -m cli` is `tidings`: how the processes of `tidings up` are started, whatever is on the PATH."""

from cli.main import main

main()
