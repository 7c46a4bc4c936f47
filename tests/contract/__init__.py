"""The contract suite is part of the package; pytest explains its failures as those of any test."""

import pytest

pytest.register_assert_rewrite("django_datastore.testing.contract")
