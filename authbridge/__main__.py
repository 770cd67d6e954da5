"""`python -m authbridge` is the `authbridge` command."""

import sys

from authbridge.cli.main import main

sys.exit(main())
