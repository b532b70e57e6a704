"""`python -m ringback` is the `ringback` command."""

from __future__ import annotations

import sys

from ringback.cli.main import main

sys.exit(main())
