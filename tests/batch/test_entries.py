"""What the user names: lists, patterns and tables, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ultrafield import cli
from ultrafield.batch.entries import read_entries
from ultrafield.commands.batch_options import settings_of
from ultrafield.commands.options import MethodOptions, SceneOptions
from ultrafield.errors import ConfigError, SceneError


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three folders and a file."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    return tmp_path


def table(folder: Path, *rows: str) -> str:
    file = folder / "scenes.csv"
    file.write_text("\n".join(rows) + "\n")
    return str(file)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("memory://x", "memory://x: is in the memory of this process alone, which no worker sees"),
        ("bogus://x", "bogus://x: Protocol not known: bogus"),
        ("x\udcff", "'x\\udcff': its path is not UTF-8, so that it cannot be stored; rename it"),
    ],
)
def test_runs_are_not_sent_where_nobody_finds_them(
    folders: Path, url: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["batch", str(folders / "a"), "--out", url, "--device", "cpu"]) == 2
    assert capsys.readouterr().err == f"ultrafield: error: --out: {text}\n"


def test_lists_patterns_and_tables_are_read_in_order(folders: Path) -> None:
    rows = ("scene,name,engine,geometry.depth-smooth", "a,first,both,yes", "", f"{folders / 'b'},,,no")
    entries = read_entries([str(folders / "c"), str(folders / "[a-z]"), table(folders, *rows)][::2])
    assert [(entry.name, Path(entry.scene)) for entry in entries] == [
        ("c", folders / "c"),
        ("first", folders / "a"),
        ("b", folders / "b"),
    ]
    assert entries[1].options == {"engine": "both", "geometry.depth_smooth": "yes"}
    assert [entry.name for entry in read_entries([str(folders / "*")])] == ["a", "b", "c"]
    assert read_entries(["local://rooms/one/"])[0].name == "one"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (["scene,engine", "a,lift,1"], "scenes.csv: row 2: expected 2 cells, got 3"),
        (["name,engine", "a,lift"], "scenes.csv: the first row must name the columns, one of them 'scene'"),
        (["scene,cuts,cuts", "a,1,2"], "scenes.csv: two columns are called 'cuts'"),
        (["scene"], "scenes.csv: the table has no rows"),
        (["scene,name", "", " , "], "scenes.csv: the table has no rows"),
        (["scene", "a", "bogus://x"], "scenes.csv: row 3: bogus://x: Protocol not known: bogus"),
        (["scene,name", ",x"], "scenes.csv: row 2: names no scene"),
        (["scene,name", "a,x/y"], "row 2: name of the run of"),
        (["scene,name", "a,Batch.html"], "a run folder cannot be called 'Batch.html'"),
        (["scene,name", 'a,"x'], "cannot be read as a CSV table"),
        (["scene", "a", "./a"], "is named twice (first in "),
        (["scene,name", "a,x", "./a,x"], "is named twice (first in "),
        (["scene,name", "a,x", "b,X"], "would both be run in a folder 'X'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(folders: Path, rows: list[str], text: str) -> None:
    with pytest.raises((SceneError, ConfigError)) as failure:
        read_entries([table(folders, *rows)])
    assert text in str(failure.value)
    assert "\n" not in str(failure.value)


def test_one_scene_may_have_two_runs_of_different_names(folders: Path) -> None:
    entries = read_entries([table(folders, "scene,name,seed", "a,first,1", "a,second,2")])
    assert [entry.name for entry in entries] == ["first", "second"]
    entries = read_entries([str(folders / "a"), table(folders, "scene,name", "a,second")])
    assert [entry.name for entry in entries] == ["a", "second"]


def test_one_scene_by_two_paths_is_refused(folders: Path) -> None:
    (folders / "link").symlink_to(folders / "a")
    with pytest.raises(ConfigError, match=r"link is named twice \(first in SCENES, as .*/a\); for two runs"):
        read_entries([str(folders / "a"), str(folders / "link")])


def test_options_of_a_row_replace_those_of_the_command_line(folders: Path) -> None:
    method = MethodOptions(seed=3, cuts=9)
    rows = ("scene,name,engine,cuts,width,allow-missing,masks", "a,x,both,7,64,yes,own", "a,y,,,,no,", "a,z,,,,,")
    one, two, three = (settings_of(entry, SceneOptions(), method) for entry in read_entries([table(folders, *rows)]))
    assert (one.method.engine, one.method.cuts, one.method.seed) == ("both", 7, 3)
    assert (one.data.width, one.data.allow_missing, one.data.masks) == (64, True, folders / "own")
    assert two.method == three.method == method
    assert not two.data.allow_missing


def test_a_setting_of_a_row_replaces_the_shorthand_of_the_command_line(folders: Path) -> None:
    (entry,) = read_entries([table(folders, "scene,segment.cuts,segment.linkage", "a,7,single")])
    segment = (
        settings_of(entry, SceneOptions(), MethodOptions(cuts=9, linkage="average")).method.config("draft").segment
    )
    assert (segment.cuts, segment.linkage) == (7, "single")
    (entry,) = read_entries([table(folders, "scene,segment.cuts,cuts", "a,7,8")])
    with pytest.raises(ConfigError, match=r"row 2: --cuts: is the same as --segment\.cuts; give one of them"):
        settings_of(entry, SceneOptions(), MethodOptions())


def test_a_preset_of_a_row_brings_its_own_settings(folders: Path) -> None:
    (entry,) = read_entries([table(folders, "scene,preset,geometry.steps", "a,paper,12")])
    chosen = settings_of(entry, SceneOptions(), MethodOptions()).method
    paper = MethodOptions.of_preset("paper")
    assert (chosen.geometry.steps, chosen.geometry.rays) == (12, paper.geometry.rays)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("colour", "red", "scenes.csv: unknown column 'colour'"),
        ("colour", "red", "; columns are scene, name and options of `ultrafield run` besides device, memory, "),
        ("device", "cpu", "scenes.csv: 'device' cannot be a column: it is no option of single scenes"),
        ("no_serve", "yes", "scenes.csv: 'no_serve' cannot be a column"),
        ("engin", "lift", "unknown column 'engin'; did you mean 'engine'?"),
        ("engine", "fast", "row 2: engine: cannot be 'fast'"),
        ("cuts", "many", "row 2: cuts: cannot be 'many'"),
        ("geometry.steps", "abc", "row 2: geometry.steps: cannot be 'abc'"),
        ("width", "0", "row 2: --width: "),
        ("allow_missing", "perhaps", "row 2: allow_missing: expected yes or no, got 'perhaps'"),
    ],
)
def test_an_option_of_a_row_that_cannot_be_used_is_named(
    folders: Path, column: str, value: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (entry,) = read_entries([table(folders, f"scene,{column}", f"a,{value}")])
    with pytest.raises(ConfigError) as failure:
        settings_of(entry, SceneOptions(), MethodOptions())
    assert text in str(failure.value)
    assert str(failure.value).count("scenes.csv") == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{}/none*"], "none*: no folder matches this pattern"),
        ([], "no scenes are named"),
        (["{}/a", "{}/b/../a"], "is named twice"),
        (["{}/a", "--address", "127.0.0.1:1"], "--address: no Ray cluster answers at 127.0.0.1:1 (Connection refused)"),
        (["{}/a", "--address", "ray://x"], "--address: expected HOST:PORT of the head node, or auto, got 'ray://x'"),
        (["{}/a", "--cores", "0"], "--cores: "),
        (["http://host/scenes.csv"], "tables of scenes are read from local files only"),
        (["{}/x\udcff"], "x\\udcff': its path is not UTF-8, so that it cannot be stored; rename it"),
        (["memory://x/*"], "memory://x/*: is in the memory of this process alone, which no worker sees"),
        (["zip://a::memory://x"], "zip://a::memory://x: is in the memory of this process alone"),
        (["bogus://x"], "bogus://x: Protocol not known: bogus"),
    ],
)
def test_the_command_says_in_one_line_what_it_cannot_use(
    folders: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = [argument.format(folders) for argument in arguments]
    assert cli.main(["batch", *scenes, "--out", str(folders / "out"), "--device", "cpu"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert text in said[0]
    assert not (folders / "out").exists()
