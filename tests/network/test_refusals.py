from datetime import UTC, datetime

from commonview.network.model import RefusalReason
from commonview.network.refusals import GuessLimiter, LineLimit, RefusalBook
from commonview.wire.sip.flow import Flow

AT = datetime(2026, 1, 1, tzinfo=UTC)


def flow(host: str) -> Flow:
    return Flow("udp", (host, 5060), ("192.0.2.1", 5060))


def test_repeats_are_counted_in_one_line() -> None:
    book = RefusalBook()
    for _ in range(3):
        book.note("a", flow("192.0.2.9"), RefusalReason.WRONG_PASSWORD, "agent", AT)
    (line,) = book.lines()
    assert (line.count, line.address) == (3, "192.0.2.9:5060")
    assert book.total[RefusalReason.WRONG_PASSWORD] == 3


def test_book_is_bounded_and_newest_comes_first() -> None:
    book = RefusalBook(limit=2)
    for number, name in enumerate(("a", "b", "c")):
        book.note(name, flow(f"192.0.2.{number}"), RefusalReason.NOT_REGISTERED, "", AT)
    assert [line.device_id for line in book.lines()] == ["c", "b"]


def test_text_of_strangers_is_cut_short() -> None:
    book = RefusalBook()
    line = book.note("x" * 5000, flow("192.0.2.9"), RefusalReason.INVALID_ID, "y" * 5000, AT)
    assert len(line.device_id) + len(line.user_agent) < 200


def test_guessing_is_stopped_for_a_minute_and_never_longer() -> None:
    limiter = GuessLimiter(per_minute=3)
    for _ in range(3):
        assert limiter.allows("192.0.2.9", "a", 0.0)
        limiter.wrong("192.0.2.9", "a", 0.0)
    assert not limiter.allows("192.0.2.9", "a", 59.9)
    assert limiter.allows("192.0.2.9", "a", 60.0)


def test_guesser_locks_out_neither_another_device_nor_another_address() -> None:
    limiter = GuessLimiter(per_minute=1)
    limiter.wrong("192.0.2.9", "a", 0.0)
    assert limiter.allows("192.0.2.9", "b", 1.0)
    assert limiter.allows("192.0.2.10", "a", 1.0)


def test_right_password_forgets_earlier_slips() -> None:
    limiter = GuessLimiter(per_minute=2)
    limiter.wrong("192.0.2.9", "a", 0.0)
    limiter.right("192.0.2.9", "a")
    limiter.wrong("192.0.2.9", "a", 1.0)
    assert limiter.allows("192.0.2.9", "a", 1.0)


def test_what_strangers_write_can_always_be_shown() -> None:
    book = RefusalBook()
    hostile = b"\xff\xfe\x1b[2J\xe6".decode("utf-8", "surrogateescape")
    book.note(hostile, flow("192.0.2.9"), RefusalReason.NOT_REGISTERED, hostile, AT)
    (line,) = book.lines()
    for shown in (line.device_id, line.user_agent):
        assert shown.isprintable()
        assert shown.encode("utf-8")


def test_one_address_cannot_try_a_password_on_every_id() -> None:
    limiter = GuessLimiter(per_minute=10, limit=100_000)
    for number in range(1000):
        assert limiter.allows("192.0.2.9", str(number), 0.0)
        limiter.wrong("192.0.2.9", str(number), 0.0)
    assert not limiter.allows("192.0.2.9", "one more", 0.0)
    assert limiter.allows("192.0.2.10", "one more", 0.0), "others are not held back"
    assert limiter.allows("192.0.2.9", "one more", 60.0)


def test_one_address_that_invents_ids_does_not_hide_the_others() -> None:
    book = RefusalBook(limit=8)
    for number in range(4):
        book.note("camera", flow(f"192.0.2.{number}"), RefusalReason.WRONG_PASSWORD, "", AT)
    for number in range(100):
        book.note(str(number), flow("192.0.2.99"), RefusalReason.NOT_REGISTERED, "", AT)
    lines = book.lines()
    assert [line.device_id for line in lines if line.address.startswith("192.0.2.99")] == ["99", "98"]
    assert sum(line.device_id == "camera" for line in lines) == 4


def test_lines_strangers_cause_in_the_log_are_few_a_minute() -> None:
    limit = LineLimit(per_minute=3)
    assert [limit.left(0.0) for _ in range(5)] == [3, 2, 1, 0, 0]
    assert limit.left(60.0) == 3
