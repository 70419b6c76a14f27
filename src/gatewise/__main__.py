"""`python -m gatewise` is the `gatewise` command."""

from gatewise.cli import main

if __name__ == "__main__":
    main()
