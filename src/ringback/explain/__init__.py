"""Why a delivery is where it is, what comes next and what to do, for people who do not know the code."""

from ringback.explain.explanation import Explanation, explain
from ringback.explain.outlook import attempts_in_all

__all__ = ["Explanation", "attempts_in_all", "explain"]
