"""Run a module of the lab, from any folder: python lab pocket.preview, python lab benchmarks.inversion --help.

Python puts the folder that it runs, this one, on sys.path. It is the only one of the checkout that may stand there: the
checkout itself has a `nodes` folder, and so has the host.
"""

import runpy
import sys

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
