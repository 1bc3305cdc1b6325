import pytest

from commonview.network.directory import DeviceRecord
from commonview.network.quirks import (
    Charset,
    ConfigTarget,
    Flag,
    QuirkInvalid,
    SsrcPolicy,
    SubStreamDialect,
    checked_overrides,
    fired,
    note_fired,
    peer_profile,
    reasons_of,
    settings_of,
    table,
)
from commonview.wire.version import GbVersion


def device(**told: object) -> DeviceRecord:
    record = DeviceRecord("34020000001110000001")
    for name, value in told.items():
        setattr(record, name, value)
    return record


@pytest.mark.parametrize(
    ("told", "version"),
    [
        (None, GbVersion.V2016),
        ("", GbVersion.V2016),
        ("1.0", GbVersion.V2011),
        ("1.1", GbVersion.V2011S),
        ("2.0", GbVersion.V2016),
        ("3.0", GbVersion.V2022),
        ("4.0", GbVersion.V2022),
        ("0.9", GbVersion.V2016),
    ],
)
def test_the_older_of_both_editions_is_spoken(told: str | None, version: GbVersion) -> None:
    assert peer_profile(device(gb_version=told)).version is version


@pytest.mark.trap(16)
def test_a_peer_is_written_to_in_the_charset_of_its_edition_unless_the_operator_says_otherwise() -> None:
    assert peer_profile(device(gb_version="2.0")).charset == "GB2312"
    assert peer_profile(device(gb_version="3.0")).charset == "GB18030"
    told = device(gb_version="2.0", quirk_overrides=checked_overrides({"charset_policy": "UTF-8"}))
    assert peer_profile(told).charset == "UTF-8"
    assert peer_profile(told).charset_policy is Charset.UTF_8


def test_a_peer_nothing_is_known_of_is_spoken_to_as_the_standard_says() -> None:
    profile = peer_profile(device(gb_version="3.0", manufacturer="nobody", model="x"))
    assert profile.entries == ()
    assert all(setting.value == setting.standard for setting in settings_of(device(gb_version="3.0")))


@pytest.mark.trap(10)
def test_huawei_devices_are_known_not_to_register_again() -> None:
    assert peer_profile(device(user_agent="Huawei SDC")).no_reregistration


@pytest.mark.trap(20)
def test_dahua_recorders_are_asked_for_all_record_types() -> None:
    assert peer_profile(device(manufacturer="Dahua")).record_type_all
    assert peer_profile(device(manufacturer="大华股份")).record_type_all
    assert not peer_profile(device(manufacturer="Uniview")).record_type_all


@pytest.mark.trap(21)
def test_configuration_goes_to_the_id_the_maker_accepts() -> None:
    assert peer_profile(device(manufacturer="Dahua")).config_target is ConfigTarget.DEVICE
    assert peer_profile(device(manufacturer="Hikvision")).config_target is ConfigTarget.CHANNEL
    assert peer_profile(device(manufacturer="Uniview")).config_unanswered


@pytest.mark.trap(27)
def test_hikvision_is_guarded_first_and_an_upper_platform_may_want_presence() -> None:
    assert peer_profile(device(model="Hikvision DS-2CD")).guard_first
    told = device(quirk_overrides=checked_overrides({"alarm_event": "presence"}))
    assert peer_profile(told).alarm_event == "presence"


@pytest.mark.trap(34)
def test_the_ssrc_is_learnt_from_the_wire_unless_the_operator_says_otherwise() -> None:
    assert peer_profile(device(manufacturer="Dahua")).ssrc is SsrcPolicy.LEARN
    assert peer_profile(device(manufacturer="Hikvision")).ssrc is SsrcPolicy.LEARN
    assert peer_profile(device(manufacturer="Uniview")).ssrc is SsrcPolicy.LEARN
    for word in SsrcPolicy:
        assert peer_profile(device(quirk_overrides=checked_overrides({"ssrc": word.value}))).ssrc is word


@pytest.mark.trap(44)
def test_huawei_d2120_is_known_to_refuse_tcp_passive() -> None:
    assert peer_profile(device(manufacturer="HUAWEI", model="D2120-10-SIU")).tcp_passive_refused
    assert not peer_profile(device(manufacturer="HUAWEI", model="M2120")).tcp_passive_refused


def test_sub_streams_are_asked_for_in_the_dialect_of_edition_and_maker() -> None:
    assert peer_profile(device(gb_version="3.0")).sub_stream is SubStreamDialect.STREAMNUMBER
    assert peer_profile(device(gb_version="2.0")).sub_stream is SubStreamDialect.STREAM
    assert peer_profile(device(manufacturer="Dahua")).sub_stream is SubStreamDialect.STREAMPROFILE
    assert peer_profile(device(manufacturer="TP-LINK")).sub_stream is SubStreamDialect.STREAM_MODE


def test_the_operator_outranks_the_table_and_both_are_shown() -> None:
    record = device(manufacturer="Dahua", quirk_overrides=checked_overrides({"record_type_all": "false"}))
    assert not peer_profile(record).record_type_all
    setting = next(one for one in settings_of(record) if one.flag is Flag.RECORD_TYPE_ALL)
    assert (setting.value, setting.overridden, setting.entry) == ("false", True, "dahua-record-type")


@pytest.mark.parametrize(
    "given",
    [
        {"no_such_flag": "true"},
        {"guard_first": "yes"},
        {"ssrc": "whatever"},
        {"alarm_event": "two words"},
        {"alarm_event": ""},
        {"alarm_event": "x\r\nEvil: 1"},
    ],
)
def test_what_is_no_value_of_a_flag_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(QuirkInvalid):
        checked_overrides(given)


def test_every_firing_is_counted_for_the_peer_and_in_all() -> None:
    record, before = device(), fired[Flag.GUARD_FIRST]
    note_fired(record, Flag.GUARD_FIRST)
    note_fired(record, Flag.GUARD_FIRST)
    assert fired[Flag.GUARD_FIRST] == before + 2
    assert next(one.fired for one in settings_of(record) if one.flag is Flag.GUARD_FIRST) == 2


def test_every_entry_has_a_source_and_sets_something_else_than_the_standard() -> None:
    standard = peer_profile(device(gb_version="3.0"))
    assert len({entry.name for entry in table()}) == len(table())
    for entry in table():
        assert entry.source
        assert any(getattr(standard, flag.value) != value for flag, value in entry.sets.items()), entry.name


def test_the_reasons_name_entry_trap_and_source() -> None:
    reasons = {reason.entry: reason for reason in reasons_of(peer_profile(device(manufacturer="Huawei")))}
    assert reasons["huawei-no-reregistration"].trap == 10
    assert "WVP#861" in reasons["huawei-no-reregistration"].source
