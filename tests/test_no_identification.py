"""The line we do not cross: nothing here can hold who a filmed person is.

No table, column, message field, model field, API path or parameter, and no public name of the media core may
speak of faces, persons, plates, appearance, embeddings or following somebody; nor may the console, in its
sources or in what it says. The test walks them all; it has no list of exceptions. People who *use* the system
(accounts) are not filmed persons and are called accounts; only the console, which speaks to them, calls them
persons.
"""

import ast
import dataclasses
import enum
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, String, Table

import commonview
from commonview.api.app import create_app
from commonview.foundation.database import metadata
from commonview.wire.manscdp import UnknownMessage, decode, registered
from commonview.wire.manscdp import registry as manscdp_registry

REPOSITORY = Path(__file__).parent.parent
SOURCE = REPOSITORY / "src" / "commonview"

# One word of a name, in snake_case, camelCase or kebab-case, is enough.
_WORDS = """
face faces facial person persons people human humans pedestrian pedestrians passenger passengers
plate plates anpr alpr lpr licenceplate licenseplate numberplate platenumber carplate
embedding embeddings biometric biometrics iris gait gender sex ethnicity ethnic nationality
emotion emotions mood birthday birthdate beard hairstyle hair clothing clothes garment
appearance skin wearing mugshot portrait suspect suspects offender offenders watchlist blacklist whitelist
reid reidentification identification recognition motorvehicle motorvehicles nonmotorvehicle
disposition dispositions targettrack
"""
FORBIDDEN_WORDS = frozenset(_WORDS.split())
"""Not here: `age` (of a packet) and `race` (of threads), which are forbidden in phrases only."""

# Several words that only together cross the line.
FORBIDDEN_PHRASES = (
    ("target", "track"),
    ("target", "area"),
    ("track", "target"),
    ("licence", "plate"),
    ("license", "plate"),
    ("number", "plate"),
    ("watch", "list"),
    ("black", "list"),
    ("re", "identification"),
    ("re", "identify"),
    ("feature", "vector"),
    ("age", "group"),
    ("age", "range"),
    ("age", "years"),
    ("subject", "age"),
    ("subject", "race"),
    ("id", "card"),
    ("identity", "card"),
    ("cross", "camera"),
    ("motor", "vehicle"),
    ("motor", "vehicles"),
)

# GB/T 28181-2022 Annex A.4 (objects of access control, credentials, persons, vehicles) and A.2.3.1.14.
FORBIDDEN_IN_MANSCDP = FORBIDDEN_WORDS | {"credential", "door", "card", "visitor", "vehicle", "vehicles"}

# In the console a person is who signs in; what is done to filmed ones stays forbidden.
FORBIDDEN_IN_CONSOLE = FORBIDDEN_WORDS - {"person", "persons", "people"}
_DONE = """
search searches find finder finding detect detected detection detector track tracker tracking trajectory
follow following count counting counter match matching locate box crop attribute attributes feature features
id ids index gallery alert
"""
_DONE_TO_PERSONS = frozenset(_DONE.split())
_FORBIDDEN_CHINESE = re.compile(
    "人脸|面部|人像|面容|车牌|号牌|行人|步态|虹膜|指纹|生物特征|特征值|特征向量|特征提取|性别|年龄|民族|种族|肤色|"
    "衣着|服饰|发型|体貌|身份证|身份识别|人员识别|车辆识别|目标识别|智能识别|布控|黑名单|白名单|嫌疑|重点人员|"
    "以图搜|人员轨迹|目标跟踪|跨镜|人群画像"
)
_EXPLAINS = re.compile(
    r"(?:^|\.)(?:errors?|refusals?|refused|why|cause|explanations?)(?:\.|$)|(?:Why|Refused)$"
)
"""Keys of messages that refuse or explain: only there the console may name what it does not do."""

Named = tuple[str, str]
"""Where it was found, and the name."""


def words_of(name: str) -> list[str]:
    """`FaceBox`, `face_box`, `face-box`, `HTTPFace2` -> lower-case words; an SD card is one word."""
    name = name.replace("SDCard", "Sdcard")
    spaced = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3 \2\4", name)
    return (
        [word for word in re.split(r"[^A-Za-z]+", spaced.lower().replace("_", " ")) if word] if name else []
    )


def crosses_the_line(name: str, forbidden: frozenset[str] = FORBIDDEN_WORDS) -> bool:
    words = words_of(name)
    pairs = list(pairwise(words))
    glued = {first + second for first, second in pairs}
    return (
        bool(forbidden & set(words))
        or bool(forbidden & glued)
        or any(one in pairs for one in FORBIDDEN_PHRASES)
    )


def offences(names: Iterator[Named], forbidden: frozenset[str] = FORBIDDEN_WORDS) -> list[Named]:
    return sorted({(where, name) for where, name in names if crosses_the_line(name, forbidden)})


# --- the walks -------------------------------------------------------------------------------------------


def modules() -> list[Any]:
    """Every module of the program, imported."""
    found = []
    for info in pkgutil.walk_packages(commonview.__path__, "commonview."):
        if "migrations" in info.name or info.name.endswith("__main__"):
            continue
        found.append(importlib.import_module(info.name))
    return found


def names_of_tables(tables: MetaData) -> Iterator[Named]:
    for table in tables.tables.values():
        yield f"table {table.name}", table.name
        for column in table.columns:
            yield f"table {table.name}", column.name


def names_of_class(cls: type) -> Iterator[Named]:
    where = f"{cls.__module__}.{cls.__qualname__}"
    yield where, cls.__name__
    if issubclass(cls, enum.Enum):
        for member in cls:
            yield where, member.name
            if isinstance(member.value, str):
                yield where, member.value
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            yield where, field.name
    if issubclass(cls, BaseModel):
        for name, model_field in cls.model_fields.items():
            yield where, name
            yield where, model_field.alias or ""
    for name in getattr(cls, "__annotations__", {}):
        yield where, name


def names_of_models() -> Iterator[Named]:
    for module in modules():
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ == module.__name__:
                yield from names_of_class(cls)


def names_in_source(tree: ast.AST, where: str) -> Iterator[Named]:
    """Every class, function, parameter and annotated name, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield where, node.name
        elif isinstance(node, ast.arg):
            yield where, node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield where, node.target.id


def names_in_python() -> Iterator[Named]:
    for path in sorted(SOURCE.rglob("*.py")):
        where = path.relative_to(REPOSITORY).as_posix()
        yield where, path.stem
        yield from names_in_source(ast.parse(path.read_text(encoding="utf-8")), where)


def names_in_openapi(document: dict[str, Any]) -> Iterator[Named]:
    for path, operations in document["paths"].items():
        yield f"path {path}", path
        for method, operation in operations.items():
            where = f"{method.upper()} {path}"
            yield where, operation.get("operationId", "")
            for parameter in operation.get("parameters", []):
                yield where, parameter["name"]
            for tag in operation.get("tags", []):
                yield where, tag
    yield from names_in_schema(document.get("components", {}), "components")


def names_in_schema(schema: object, where: str) -> Iterator[Named]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("properties", "schemas") and isinstance(value, dict):
                for name in value:
                    yield where, name
            if key == "enum" and isinstance(value, list):
                for word in value:
                    yield where, str(word)
            yield from names_in_schema(value, f"{where}/{key}")
    elif isinstance(schema, list):
        for one in schema:
            yield from names_in_schema(one, where)


def names_in_manscdp() -> Iterator[Named]:
    for (root, cmd_type), cls in manscdp_registry._REGISTRY.items():
        where = f"MANSCDP {root}/{cmd_type}"
        yield where, cmd_type
        yield from names_of_class(cls)
    for path in sorted((SOURCE / "wire" / "manscdp").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # Names of XML elements are short string literals in these modules.
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                yield path.name, node.value


_RUST_NAME = re.compile(
    r"^\s*(?:pub(?:\([a-z: ]+\))?\s+)?"
    r"(?:const|static|struct|enum|trait|type|mod|(?:async\s+)?fn)\s+([A-Za-z_]\w*)"
    r"|^\s*pub(?:\([a-z: ]+\))?\s+([a-z_]\w*)\s*:"
    r"|^\s*([A-Z]\w*)\s*(?:[,({]|=\s*\d)",
    re.MULTILINE,
)


def names_in_rust(source: str, where: str) -> Iterator[Named]:
    """Items, public fields and enum variants, by text."""
    for match in _RUST_NAME.finditer(source):
        yield where, next(name for name in match.groups() if name)


def names_of_media_core() -> Iterator[Named]:
    for path in sorted((REPOSITORY / "crates").rglob("*.rs")):
        if "target" not in path.parts:
            yield from names_in_rust(
                path.read_text(encoding="utf-8"), path.relative_to(REPOSITORY).as_posix()
            )


WEB = REPOSITORY / "web"
_CONSOLE_SOURCES = {".ts", ".vue", ".css", ".html", ".svg", ".js"}
_RUN_OF_WORDS = re.compile(r"[A-Za-z_$][\w$]*(?:[ -][A-Za-z_$][\w$]*)*", re.ASCII)


def console_files() -> list[Path]:
    """What the console is made of; neither what it is built into, nor the packages of others."""
    made = [path for part in ("src", "public") for path in (WEB / part).rglob("*") if path.is_file()]
    return sorted([*made, WEB / "index.html"])


def names_in_console_source(text: str, where: str) -> Iterator[Named]:
    """Every identifier, string and comment; Chinese as it stands."""
    for run in _RUN_OF_WORDS.findall(text):
        yield where, run
    for run in _FORBIDDEN_CHINESE.findall(text):
        yield where, run


def names_in_console_messages(messages: object, where: str, key: str = "") -> Iterator[Named]:
    """Every key, and every text that neither refuses nor explains."""
    if isinstance(messages, dict):
        for name, value in messages.items():
            yield where, name
            yield from names_in_console_messages(value, where, f"{key}.{name}" if key else name)
    elif isinstance(messages, list):
        for one in messages:
            yield from names_in_console_messages(one, where, key)
    elif isinstance(messages, str) and not _EXPLAINS.search(key):
        yield from names_in_console_source(messages, f"{where} {key}")


def names_in_console() -> Iterator[Named]:
    for path in console_files():
        where = path.relative_to(REPOSITORY).as_posix()
        yield where, path.stem
        if path.suffix == ".json":
            yield from names_in_console_messages(json.loads(path.read_text(encoding="utf-8")), where)
        elif path.suffix in _CONSOLE_SOURCES:
            yield from names_in_console_source(path.read_text(encoding="utf-8"), where)


def offences_in_console(names: Iterator[Named]) -> list[Named]:
    return sorted({(where, name) for where, name in names if crosses_the_line_in_console(name)})


def crosses_the_line_in_console(name: str) -> bool:
    if crosses_the_line(name, FORBIDDEN_IN_CONSOLE) or _FORBIDDEN_CHINESE.search(name):
        return True
    persons = FORBIDDEN_WORDS - FORBIDDEN_IN_CONSOLE
    return any(
        (first in persons and second in _DONE_TO_PERSONS) or (first in _DONE_TO_PERSONS and second in persons)
        for first, second in pairwise(words_of(name))
    )


# --- the line --------------------------------------------------------------------------------------------


def test_no_table_or_column_can_hold_who_somebody_is() -> None:
    modules()  # rooms declare their tables when they are imported
    assert {"accounts", "grants", "devices", "channels"} <= set(metadata.tables)
    assert offences(names_of_tables(metadata)) == []


def test_no_model_of_any_room_has_such_a_field() -> None:
    found = list(names_of_models())
    assert len(found) > 500
    assert offences(iter(found)) == []


def test_no_name_in_the_python_source_speaks_of_it() -> None:
    found = list(names_in_python())
    assert len(found) > 1000
    assert offences(iter(found)) == []


def test_no_path_parameter_or_property_of_the_api_speaks_of_it() -> None:
    found = list(names_in_openapi(create_app(None).openapi()))
    assert ("path /api/live", "/api/live") in found
    assert offences(iter(found)) == []


def test_no_manscdp_message_carries_it() -> None:
    found = list(names_in_manscdp())
    assert ("MANSCDP Notify/Keepalive", "Keepalive") in found
    assert offences(iter(found), FORBIDDEN_IN_MANSCDP) == []


def test_no_public_name_of_the_media_core_speaks_of_it() -> None:
    found = list(names_of_media_core())
    assert len(found) > 100
    assert offences(iter(found)) == []


def test_the_console_neither_does_it_nor_offers_it() -> None:
    files = {path.relative_to(WEB).as_posix() for path in console_files()}
    assert {"index.html", "src/main.ts", "src/api/schema.d.ts", "src/live/WallTile.vue"} <= files
    assert {"src/i18n/en/live.json", "src/i18n/zh-CN/live.json"} <= files
    assert {path.suffix for path in console_files()} <= _CONSOLE_SOURCES | {".json"}
    found = list(names_in_console())
    assert len(found) > 10_000
    assert offences_in_console(iter(found)) == []


def test_the_description_from_which_the_console_is_made_does_not_name_it() -> None:
    document = json.loads((WEB / "openapi.json").read_text(encoding="utf-8"))
    assert offences(names_in_openapi(document)) == []


@pytest.mark.parametrize(
    ("root", "cmd_type"),
    [
        ("Control", "TargetTrack"),
        ("Query", "PersonInfo"),
        ("Notify", "VehicleInfo"),
        ("Response", "CredentialInfo"),
        ("Notify", "AccessControlEvent"),
    ],
)
def test_target_tracking_and_the_objects_of_annex_a4_are_not_implemented(root: str, cmd_type: str) -> None:
    assert (root, cmd_type) not in registered()
    body = (
        f"<?xml version='1.0'?><{root}><CmdType>{cmd_type}</CmdType><SN>1</SN>"
        f"<DeviceID>34020000001320000001</DeviceID></{root}>"
    )
    assert isinstance(decode(body.encode()), UnknownMessage)


def test_a_device_control_with_target_track_has_no_message_class() -> None:
    """GB/T 28181-2022 sends TargetTrack inside Control/DeviceControl: no class may take that element."""
    names = {name for _, name in names_in_manscdp()}
    assert not {"TargetTrack", "TargetArea", "DeviceID2"} & names


# --- the test itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "face",
        "face_box",
        "FaceBox",
        "faceBox",
        "/api/faces/{face_id}",
        "licence_plate",
        "LicensePlate",
        "plateNumber",
        "PlateNo",
        "person_id",
        "personId",
        "reid_vector",
        "feature_vector",
        "embedding",
        "TargetTrack",
        "target_track",
        "TARGET_TRACK",
        "watch_list",
        "WatchList",
        "gender",
        "age_group",
        "id_card",
        "MotorVehicles",
        "re_identification",
        "HTTPFaceServer",
        "suspect",
    ],
)
def test_the_words_that_cross_the_line_are_seen_in_every_spelling(name: str) -> None:
    assert crosses_the_line(name)


@pytest.mark.parametrize(
    "name",
    [
        "interface",
        "surface",
        "template",
        "last_packet_age_ms",
        "tracks",
        "track_id",
        "audio_track",
        "message",
        "storage",
        "targets",
        "account_id",
        "display_name",
        "body",
        "manufacturer",
        "sextet",
        "trace",
        "channel_id",
    ],
)
def test_words_that_only_look_like_it_are_left_alone(name: str) -> None:
    assert not crosses_the_line(name)


@pytest.mark.parametrize(
    "name",
    [
        "faceBox",
        "a face was seen",
        "personSearch",
        "findPerson",
        "person-id",
        "count people",
        "LicensePlate",
        "watchList",
        "人脸检索",
        "按车牌查找",
        "人员轨迹",
    ],
)
def test_the_words_that_cross_the_line_in_the_console_are_seen(name: str) -> None:
    assert offences_in_console(names_in_console_source(f"const x = '{name}'", "x.ts"))
    assert offences_in_console(names_in_console_messages({"live": {"lead": name}}, "x.json"))


def test_the_console_may_name_what_it_refuses_and_who_signs_in() -> None:
    explained = {
        "errors": {"x": "Faces are not looked for."},
        "live": {"why": "不识别人脸。", "peopleWhy": "No faces."},
    }
    assert offences_in_console(names_in_console_messages(explained, "x.json")) == []
    assert offences_in_console(
        names_in_console_messages({"live": {"whyFace": "x"}}, "x.json")
    )  # the key itself
    source = "const newPerson = nobody() // the person who watches; one account, one person; two people"
    assert offences_in_console(names_in_console_source(source, "x.ts")) == []


def test_every_walk_would_fail_on_a_planted_offence() -> None:
    tables = MetaData()
    Table("events", tables, Column("id", Integer), Column("face_id", String))

    @dataclasses.dataclass
    class Event:
        person_id: str

    class Answer(BaseModel):
        plate_number: str

    class Kind(enum.StrEnum):
        ANY = "watch_list"

    document = {
        "paths": {"/api/events": {"get": {"operationId": "events", "parameters": [{"name": "gender"}]}}},
        "components": {"schemas": {"Event": {"properties": {"embedding": {}}}}},
    }
    rust = "pub struct Event {\n    pub(crate) face_box: [u32; 4],\n}\nenum Kind {\n    Pedestrian,\n}\n"
    python = "def find(plate: str) -> None:\n    suspect: int = 1\n"
    assert offences(names_of_tables(tables)) == [("table events", "face_id")]
    assert [name for _, name in offences(names_of_class(Event))] == ["person_id"]
    assert [name for _, name in offences(names_of_class(Answer))] == ["plate_number"]
    assert [name for _, name in offences(names_of_class(Kind))] == ["watch_list"]
    assert [name for _, name in offences(names_in_openapi(document))] == ["gender", "embedding"]
    assert [name for _, name in offences(names_in_rust(rust, "x.rs"))] == ["Pedestrian", "face_box"]
    assert [name for _, name in offences(names_in_source(ast.parse(python), "x.py"))] == ["plate", "suspect"]
