"""`python -m causalkd` is the command `causalkd`."""

from causalkd.cli import app

if __name__ == "__main__":
    app(prog_name="causalkd")
