"""`python -m causalkd` is the command `causalkd`."""

from causalkd.cli import main

if __name__ == "__main__":
    main()
