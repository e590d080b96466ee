"""`python -m headscope`, as the command of that name."""

import sys

from headscope.command import main

sys.exit(main())
