"""Tests of the stores, and the contract that each of them keeps."""

import pytest

pytest.register_assert_rewrite("tests.stores.contract", "tests.stores.examples")
