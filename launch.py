"""Roundtable's one command. It sets everything up in .venv the first time, then starts what was asked for.

python launch.py                 the studio page          python launch.py demo    a finished video of a group photo
python launch.py --help          all commands             python launch.py test    the tests

Written so that even an old Python can read it and say, in one line, that it is too old.
"""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        "Roundtable needs Python 3.11 or newer, and this is Python %d.%d: "  # noqa: UP031
        "get one from https://www.python.org/downloads/ and start again with it." % tuple(sys.version_info[:2])
    )

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # a "safe path" setting leaves it out

from engine.launcher.start import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
