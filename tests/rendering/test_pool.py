"""Worker processes: whatever happens in one is an answer here, and the next job finds a new one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commonview.rendering import Limits, RenderBusy, RenderFailed, RenderPool, RenderUnavailable

pytestmark = pytest.mark.anyio

ODD = (sys.executable, str(Path(__file__).with_name("odd_worker.py")))
LONG_S = 110.0
LIMITS = Limits(
    workers=1, waiting=1, memory_bytes=2**31, file_bytes=2**20, job_s=LONG_S, silence_s=LONG_S, nice=0
)


def limits(**changes: float) -> Limits:
    values = {name: getattr(LIMITS, name) for name in Limits.__slots__}
    return Limits(**(values | changes))


@pytest.fixture
async def pool() -> AsyncIterator[RenderPool]:
    made = RenderPool(LIMITS, command=ODD)
    yield made
    await made.close()


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_a_job_is_done_in_another_process_and_tells_how_far_it_is(pool: RenderPool) -> None:
    heard: list[object] = []
    told, made = await pool.run("echo", {"say": "hello"}, on_progress=heard.append)
    assert (told["said"], made, heard) == ("hello", b"hello", [{"half": 1}])
    assert told["pid"] != os.getpid()


async def test_a_worker_does_one_job_after_another(pool: RenderPool) -> None:
    first, _ = await pool.run("echo", {"say": "1"})
    second, _ = await pool.run("echo", {"say": "2"})
    assert first["pid"] == second["pid"]
    assert pool.counters["started"] == 1


async def test_what_a_job_finds_wrong_is_told_and_the_worker_lives(pool: RenderPool) -> None:
    with pytest.raises(RenderFailed) as caught:
        await pool.run("refuse", {})
    assert (caught.value.code, caught.value.message) == ("picture_absent", "there is none")
    await pool.run("echo", {"say": "1"})
    assert pool.counters["started"] == 1


@pytest.mark.parametrize("how", ["crash", "fault"])
async def test_a_worker_that_dies_takes_nobody_with_it(pool: RenderPool, how: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        await pool.run(how, {})
    assert caught.value.code == "render_crashed"
    told, _ = await pool.run("echo", {"say": "still here"})
    assert told["said"] == "still here"
    assert (pool.counters["crashed"], pool.counters["started"]) == (1, 2)


async def test_a_worker_that_says_nothing_is_killed() -> None:
    pool = RenderPool(limits(silence_s=0.2), command=ODD)
    with pytest.raises(RenderFailed) as caught:
        await pool.run("hang", {})
    assert caught.value.code == "render_stalled"
    assert pool.worker_ids() == []
    await pool.close()


async def test_a_worker_that_never_ends_is_killed_however_much_it_says() -> None:
    pool = RenderPool(limits(job_s=3.0), command=ODD)
    with pytest.raises(RenderFailed) as caught:
        await pool.run("chatter", {})
    assert caught.value.code == "render_timed_out"
    await pool.close()


async def test_a_worker_gets_no_more_memory_than_it_may_have(pool: RenderPool) -> None:
    with pytest.raises(RenderFailed) as caught:
        await pool.run("eat", {})
    assert caught.value.code == "media_too_large"
    await pool.run("echo", {"say": "1"})


async def test_a_worker_writes_no_larger_file_than_it_may(pool: RenderPool, tmp_path: Path) -> None:
    with pytest.raises(RenderFailed) as caught:
        await pool.run("write", {"path": str(tmp_path / "large")})
    assert caught.value.code == "disk_full"
    assert (tmp_path / "large").stat().st_size <= LIMITS.file_bytes


async def test_a_worker_that_talks_nonsense_is_killed(pool: RenderPool) -> None:
    with pytest.raises(RenderFailed) as caught:
        await pool.run("junk", {})
    assert caught.value.code == "render_crashed"


async def test_a_caller_that_goes_away_takes_the_worker_with_him(pool: RenderPool) -> None:
    begun = asyncio.Event()
    task = asyncio.create_task(pool.run("chatter", {}, on_progress=lambda _told: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.counters["cancelled"] == 1
    told, _ = await pool.run("echo", {"say": "next"})
    assert told["said"] == "next"


async def test_more_than_may_wait_is_refused(pool: RenderPool) -> None:
    begun = asyncio.Event()
    running = asyncio.create_task(pool.run("chatter", {}, on_progress=lambda _told: begun.set()))
    await begun.wait()
    waiting = asyncio.create_task(pool.run("echo", {"say": "1"}))
    await asyncio.sleep(0)
    with pytest.raises(RenderBusy):
        await pool.run("echo", {"say": "2"})
    running.cancel()
    told, _ = await waiting
    assert told["said"] == "1"


async def test_secrets_of_the_server_do_not_reach_a_worker(
    pool: RenderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMMONVIEW_SOMETHING_SECRET", "x")
    told, _ = await pool.run("environment", {})
    assert not [name for name in told["names"] if name.startswith("COMMONVIEW")]


async def test_closing_ends_the_workers(pool: RenderPool) -> None:
    told, _ = await pool.run("echo", {"say": "1"})
    await pool.close()
    assert is_gone(told["pid"])
    with pytest.raises(RenderUnavailable):
        await pool.run("echo", {"say": "2"})
