"""Inspect's own checks of a sandbox provider, on both of ours."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from inspect_ai.util import SandboxEnvironment, SandboxUserUnsupportedError
from inspect_ai.util._sandbox import self_check
from inspect_ai.util._sandbox.self_check import *  # noqa: F403 - this is how the checks are meant to be collected

from sidedoor.sandboxes.machine import Provider
from sidedoor.sandboxes.provider import EmbeddedSandbox, WorkplaceSandbox
from sidedoor.sandboxes.spec import EpisodeIdentity, WorkplaceSpec

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]  # they wait for commands to time out


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def environments(provider: Provider) -> AsyncIterator[dict[str, SandboxEnvironment]]:
    identity = EpisodeIdentity(suite="office", scenario="bare", factors={}, seed=1, content_sha256="0" * 64)
    spec = WorkplaceSpec(identity=identity)
    kind = {"docker": WorkplaceSandbox, "embedded": EmbeddedSandbox}[provider.name]
    await kind.task_init("checks", spec)
    made = await kind.sample_init("checks", spec, {})
    yield made
    await kind.sample_cleanup("checks", spec, made, interrupted=False)


@pytest.fixture
def sandbox_env(environments: dict[str, SandboxEnvironment]) -> SandboxEnvironment:
    return environments["default"]


async def test_exec_as_user(sandbox_env: SandboxEnvironment) -> None:
    """The one check that becomes root; the hardening refuses it, by the error that Inspect has for this."""
    with pytest.raises(SandboxUserUnsupportedError):
        await self_check.test_exec_as_user(sandbox_env)


async def test_all_of_inspects_checks_are_collected() -> None:
    assert len(self_check.__all__) >= 44
    assert set(self_check.__all__) <= set(globals())
