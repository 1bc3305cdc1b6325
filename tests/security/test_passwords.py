import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.security import Invalid, TooManyAttempts
from commonview.security.passwords import COMMON, PASSWORD_MIN, Passwords, require_acceptable
from commonview.security.throttle import ADDRESS_BURST, LONGEST_WAIT_S, Throttle
from tests.security.conftest import FAST
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password_too_short"),
        ("ninechars", "password_too_short"),
        ("x" * 257, "password_too_long"),
        ("olga.operator", "password_is_name"),
        ("OLGA.OPERATOR", "password_is_name"),
        ("rotarepo.aglo", "password_is_name"),
        ("Olga The Operator", "password_is_name"),
        ("Administrator", "password_too_common"),
        ("password123", "password_too_common"),
        ("abababababab", "password_too_simple"),
    ],
)
def test_what_is_guessed_first_is_refused(password: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        require_acceptable(password, "olga.operator", "Olga The Operator")
    assert refused.value.code == code
    assert password not in refused.value.message


def test_long_words_in_any_script_are_accepted() -> None:
    for password in ("green bicycle 41", "雨后的青石板路湿又滑", "ten chars!"):
        require_acceptable(password, "olga")


def test_the_common_list_is_all_about_passwords_the_length_rule_lets_through() -> None:
    assert len(COMMON) >= 60
    assert all(len(word) >= PASSWORD_MIN and word == word.casefold() for word in COMMON)


def test_a_hash_is_argon2id_with_its_own_salt_and_at_least_the_cost_of_rfc_9106() -> None:
    passwords = Passwords()
    first, second = passwords.hash("green bicycle 41"), passwords.hash("green bicycle 41")
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=2$")
    assert first != second
    assert passwords.verify(first, "green bicycle 41")
    assert not passwords.verify(first, "green bicycle 42")
    assert not passwords.outdated(first)
    assert passwords.outdated(FAST.hash("green bicycle 41"))


def test_the_password_of_nobody_opens_nothing() -> None:
    assert not FAST.verify(None, "the password of nobody, compared with when a name is unknown")
    assert not FAST.verify("not a hash", "anything")


def test_a_name_nobody_has_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from argon2 import PasswordHasher

    calls = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, kept: str, password: str) -> bool:
        calls.append(kept)
        return bool(verify(self, kept, password))

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    FAST.verify(None, "anything")
    assert len(calls) == 1
    assert calls[0].startswith("$argon2id$")


def test_at_most_two_hashes_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from argon2 import PasswordHasher

    running, most, lock, both = 0, 0, threading.Lock(), threading.Barrier(2, timeout=PATIENCE_S)

    def slow(self: PasswordHasher, kept: str, password: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()  # leaves in pairs: proves that two do run together
        with lock:
            running -= 1
        return True

    monkeypatch.setattr(PasswordHasher, "verify", slow)
    threads = [threading.Thread(target=FAST.verify, args=("x", "y")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_who_finds_a_long_queue_is_sent_away_instead_of_holding_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from argon2 import PasswordHasher

    release, sent_away = threading.Event(), threading.Semaphore(0)

    def stuck(self: PasswordHasher, kept: str, password: str) -> bool:
        release.wait(30)
        return True

    passwords = Passwords(memory_kib=64, passes=1, lanes=1)
    monkeypatch.setattr(PasswordHasher, "verify", stuck)
    outcomes: list[str] = []

    def ask() -> None:
        try:
            passwords.verify("x", "y")
            outcomes.append("answered")
        except TooManyAttempts:
            outcomes.append("sent away")
            sent_away.release()

    threads = [threading.Thread(target=ask) for _ in range(15)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        assert sent_away.acquire(timeout=PATIENCE_S)
    release.set()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["answered"] * 10 + ["sent away"] * 5
    assert passwords.verify("x", "y")  # the queue is empty again


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.floats(0, 100)), max_size=60))
def test_no_address_ever_gets_more_than_ten_attempts_a_minute(steps: list[tuple[str, str, float]]) -> None:
    throttle, now, taken = Throttle(), 0.0, dict.fromkeys("ab", 0)
    for address, name, passed in steps:
        now += passed
        wait = throttle.wait_s(address, name, now)
        assert 0 <= wait <= LONGEST_WAIT_S
        if wait == 0:
            taken[address] += 1
            throttle.failed(name, now)
        assert taken[address] <= ADDRESS_BURST + now / 6 + 1e-6


@given(st.integers(1, 200))
def test_whoever_waits_as_told_may_try(failures: int) -> None:
    throttle, now = Throttle(), 0.0
    for i in range(failures):
        throttle.failed("olga", now + i)
    now += failures
    wait = throttle.wait_s("here", "olga", now)
    assert throttle.wait_s("here", "olga", now + wait) == 0


def test_the_tables_stay_small_however_many_ask() -> None:
    throttle = Throttle(table_max=100)
    for i in range(1000):
        throttle.wait_s(f"10.0.{i // 256}.{i % 256}", f"name{i}", float(i))
        throttle.failed(f"name{i}", float(i))
    assert len(throttle._buckets) == len(throttle._failures) == 100


@pytest.mark.parametrize(
    "addresses",
    [
        [f"2001:db8:0:1::{number:x}" for number in range(1, 30)],
        [f"2001:db8:0:1:{number:x}::1" for number in range(1, 30)],
        ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"] * 10,
        [f"fe80::1%eth{number}" for number in range(30)],
    ],
)
def test_many_addresses_of_one_place_count_as_one(addresses: list[str]) -> None:
    throttle = Throttle()
    allowed = [throttle.wait_s(address, f"name{i}", 0.0) == 0 for i, address in enumerate(addresses)]
    assert sum(allowed) == ADDRESS_BURST


def test_two_networks_do_not_wait_for_each_other() -> None:
    throttle = Throttle()
    for i in range(ADDRESS_BURST + 1):
        throttle.wait_s("2001:db8:0:1::1", f"name{i}", 0.0)
    assert throttle.wait_s("2001:db8:0:1::2", "other", 0.0) > 0
    assert throttle.wait_s("2001:db8:0:2::1", "other", 0.0) == 0
    assert throttle.wait_s("192.0.2.1", "other", 0.0) == 0
