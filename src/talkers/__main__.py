"""python -m talkers"""

from talkers.cli import entry

if __name__ == "__main__":
    entry()
