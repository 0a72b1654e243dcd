"""`python -m pgflow`: the command line, where the command itself isn't on the PATH."""

from pgflow.cli import main

if __name__ == "__main__":
    main()
