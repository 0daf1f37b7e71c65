"""`python -m fullband.cli`: the command line where no script is installed."""

from fullband.cli import main

if __name__ == "__main__":
    main()
