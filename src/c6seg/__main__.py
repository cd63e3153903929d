"""Run the command line with ``python -m c6seg``."""

from c6seg.interfaces.cli import main

if __name__ == "__main__":
    main()
