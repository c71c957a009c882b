"""`python -m persistence.cli`."""

from persistence.cli import main

if __name__ == "__main__":
    main()
