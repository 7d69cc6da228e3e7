"""``python -m khepri`` is the command line, see `khepri.cli.main`."""

import sys

from khepri.cli.main import main

sys.exit(main())
