"""Fixtures of the tests of a real server."""

import pytest
from helpers.host_client import Host


@pytest.fixture(scope="session")
def host(server):
    """A client of the server that the tests of a process share."""
    return Host(server.url)
