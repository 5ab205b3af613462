"""The fleet as the command line has it: a package of its own, loaded by its file."""

import sys

import pytest
from helpers.paths import CHECKOUT

sys.path.append(str(CHECKOUT / "lab"))

from host_server import load_package

load_package("fleet")

from fleet.job_list import JobList  # noqa: E402
from fleet.ledger import Ledger  # noqa: E402


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    ledger = Ledger(tmp_path / "results")
    yield ledger
    ledger.close()


@pytest.fixture
def job_list(tmp_path):
    """Makes a JobList of some rows, its files in `tmp_path`."""
    return lambda rows, **common: JobList(tmp_path / "jobs.yaml", common, {}, rows)
