"""The store beside plain dictionaries, on a disk that loses its power."""

import pytest

pytest.register_assert_rewrite("tests.model.world", "tests.model.reference", "tests.model.holds")
