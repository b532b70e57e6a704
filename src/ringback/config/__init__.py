"""Settings: defaults < `ringback.toml` < environment < flags.

Where a value is wrong the error says which, where it was written and why, and never repeats it: it
may be a secret. Names that are not settings are refused, whoever wrote them.
"""

from ringback.config.settings import MAX_EVENT_BYTES, Settings
from ringback.config.sources import OTHER_VARIABLES, load, variable_of

__all__ = ["MAX_EVENT_BYTES", "OTHER_VARIABLES", "Settings", "load", "variable_of"]
