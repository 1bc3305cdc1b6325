import logging
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.foundation.datadir import DataDirectory
from commonview.security import KeyFileError
from commonview.security.keys import load_enrolment_password, load_instance_key, load_signing_key
from commonview.security.secrets import Vault
from tests.security.conftest import Office, Staff, open_service

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


@given(st.binary(max_size=200), st.text(max_size=40))
def test_what_is_sealed_opens_again_and_never_looks_the_same(secret: bytes, context: str) -> None:
    vault = Vault([OLD])
    first, second = vault.seal(secret, context), vault.seal(secret, context)
    assert vault.open(first, context) == vault.open(second, context) == secret
    assert first != second
    assert len(secret) < 4 or secret not in first


@given(st.data())
def test_a_sealed_secret_with_one_changed_bit_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(Vault([OLD]).seal(b"camera password", "device:1"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(KeyFileError):
        Vault([OLD]).open(bytes(sealed), "device:1")


def test_a_sealed_secret_opens_in_its_own_row_only() -> None:
    sealed = Vault([OLD]).seal(b"camera password", "device:1")
    for vault, value, context in (
        (Vault([OLD]), sealed, "device:2"),
        (Vault([NEW]), sealed, "device:1"),
        (Vault([OLD]), sealed[:-1], "device:1"),
        (Vault([OLD]), b"", "device:1"),
    ):
        with pytest.raises(KeyFileError) as refused:
            vault.open(value, context)
        assert "camera" not in refused.value.message


def test_rotation_rewraps_without_touching_the_secret() -> None:
    sealed = Vault([OLD]).seal(b"camera password", "device:1")
    both = Vault([NEW, OLD])
    resealed = both.reseal(sealed, "device:1")
    assert both.reseal(resealed, "device:1") == resealed
    assert Vault([NEW]).open(resealed, "device:1") == b"camera password"
    with pytest.raises(KeyFileError):
        Vault([OLD]).open(resealed, "device:1")


def prepared(tmp_path: Path) -> DataDirectory:
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    return data


def test_keys_are_made_once_private_and_different_in_every_installation(tmp_path: Path) -> None:
    first, second = prepared(tmp_path / "a"), prepared(tmp_path / "b")
    assert load_instance_key(first, may_make=True) == load_instance_key(first, may_make=False)
    assert load_instance_key(first, may_make=True) != load_instance_key(second, may_make=True)
    assert load_enrolment_password(first) == load_enrolment_password(first) != load_enrolment_password(second)
    load_signing_key(first, may_make=True)
    for path in first.keys.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", [".", "instance.key", "audit-signing.key", "device-enrolment.password"])
def test_keys_that_others_can_read_stop_the_start(office: Office, name: str) -> None:
    path = office.data.keys / name
    path.chmod(path.stat().st_mode | 0o040)
    with pytest.raises(KeyFileError, match="chmod") as refused:
        office.reopen()
    assert refused.value.code == "key_file_readable_by_others"


@pytest.mark.parametrize("name", ["instance.key", "audit-signing.key"])
def test_a_lost_key_of_a_used_installation_is_not_replaced(office: Office, staff: Staff, name: str) -> None:
    (office.data.keys / name).unlink()
    with pytest.raises(KeyFileError) as refused:
        office.reopen()
    assert refused.value.code == "key_file_missing"
    assert not (office.data.keys / name).exists()


@pytest.mark.parametrize("name", ["instance.key", "audit-signing.key", "device-enrolment.password"])
def test_a_damaged_key_file_is_named(office: Office, name: str) -> None:
    (office.data.keys / name).write_bytes(b"\n")
    with pytest.raises(KeyFileError, match=name.replace(".", r"\.")):
        office.reopen()


def test_no_secret_reaches_the_log(office: Office, staff: Staff, caplog: pytest.LogCaptureFixture) -> None:
    from tests.security.conftest import OPERATOR_PASSWORD

    caplog.set_level(logging.DEBUG)
    signed_in = office.service.sign_in("olga", OPERATOR_PASSWORD, client_address="x")
    office.service.authenticate(signed_in.token)
    open_service(office.db, office.clock, office.bus, office.data).close()
    for secret in (
        OPERATOR_PASSWORD,
        signed_in.token,
        signed_in.csrf_token,
        office.service.enrolment_password,
    ):
        assert secret not in caplog.text
