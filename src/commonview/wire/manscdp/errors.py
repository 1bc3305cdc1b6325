"""What can be wrong with a MANSCDP body."""

from enum import Enum


class ManscdpFault(Enum):
    """Why a body was refused; stable words for counters and logs."""

    EMPTY = "empty"
    CONTENT_TYPE = "content_type"
    TOO_LARGE = "too_large"
    NOT_WELL_FORMED = "not_well_formed"
    FORBIDDEN_MARKUP = "forbidden_markup"
    TOO_DEEP = "too_deep"
    TOO_MANY_ELEMENTS = "too_many_elements"
    UNKNOWN_ROOT = "unknown_root"
    MISSING_FIELD = "missing_field"
    BAD_VALUE = "bad_value"
    NOT_ENCODABLE = "not_encodable"
    NOT_IN_VERSION = "not_in_version"


class ManscdpError(ValueError):
    """A body that cannot be read, or a message that may not be sent."""

    def __init__(self, fault: ManscdpFault, reason: str) -> None:
        super().__init__(f"{fault.value}: {reason}")
        self.fault = fault
        self.reason = reason


class Repair(Enum):
    """What the decoder mended on the way; each is counted so that a device's quirks are visible."""

    DAMAGED_TEXT = "damaged_text"
    RAW_MARKUP = "raw_markup"
    CONTROL_CHARACTERS = "control_characters"
    TRAILING_BYTES = "trailing_bytes"
    ATTRIBUTE_HEAD = "attribute_head"
    SN_MISSING = "sn_missing"
    UNREADABLE_VALUE = "unreadable_value"
    REFUSED_ITEM = "refused_item"
    WRONG_CMD_TYPE = "wrong_cmd_type"
    RENAMED_BLOCK = "renamed_block"
