"""`python -m rewindd.daemon`: what a client starts."""

import sys

from rewindd.daemon.main import main

sys.exit(main())
