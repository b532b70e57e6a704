"""JSON Schemas of a business' own: what they may be, and what checking a payload against one can cost.

The checker keeps the whole process waiting, so no schema may make it work long. What a single value of a
payload can cost is reckoned from the schema when it is saved: where that is too much, it is refused; where
a payload has too many such values, it is not checked. Steps are of about 10 ns.
"""

from ringback.schemas.cost import Cost, cost_of
from ringback.schemas.shape import DIALECT, FIELD, numbers_fit

__all__ = ["DIALECT", "FIELD", "Cost", "cost_of", "numbers_fit"]
