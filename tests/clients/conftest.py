"""What every test here gets: the clients, a token, and one event loop for the whole session."""

import asyncio
import functools
import inspect
import os
import uuid
from importlib.metadata import version

import httpx
import pytest
from agno.client import AgentOSClient
from agno.utils.http import aclose_default_clients

URL = os.environ["RUNHOLD_URL"]
TOKEN = os.environ["RUNHOLD_TOKEN"]
AGNO = int(version("agno").split(".")[0])
SECONDS_A_TEST_MAY_TAKE = 120

# Agno keeps one HTTP client for the process, and that client belongs to one event loop: so all tests share the loop.
_loop = asyncio.Runner()


class Authorized:
    """An AgentOSClient whose every call carries the token, as its callers do it: in the `headers` argument."""

    def __init__(self, client: AgentOSClient, token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}

    def __getattr__(self, name: str):
        return functools.partial(getattr(self._client, name), headers=self._headers)


@pytest.fixture
def client() -> AgentOSClient:
    """Agno's client as it comes: without a token."""
    return AgentOSClient(base_url=URL)


@pytest.fixture
def agentos(client: AgentOSClient) -> Authorized:
    return Authorized(client, TOKEN)


@pytest.fixture
def http():
    """Plain HTTP with the token, for what a browser sends."""
    with httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as plain:
        yield plain


@pytest.fixture
def url() -> str:
    return URL


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
def somebody() -> str:
    """A user nobody else has: what this test makes is all that user owns."""
    return f"user-{uuid.uuid4()}"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs `async def` tests on the shared loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    _loop.run(asyncio.wait_for(pyfuncitem.obj(**arguments), SECONDS_A_TEST_MAY_TAKE))
    return True


def pytest_configure(config):
    config.addinivalue_line("markers", "agno(major): a call that only this major release of the client has")


def pytest_collection_modifyitems(config, items):
    """Leaves out calls this release of the client does not have; pytest reports them as deselected."""
    theirs = [item for item in items if (mark := item.get_closest_marker("agno")) and mark.args[0] != AGNO]
    config.hook.pytest_deselected(items=theirs)
    items[:] = [item for item in items if item not in theirs]


def pytest_sessionfinish():
    _loop.run(aclose_default_clients())
    _loop.close()
