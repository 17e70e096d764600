"""What a type checker sees at the front door."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROGRAM = """
import ultrafield.masks
import ultrafield as uf

reveal_type(uf.Tree)
reveal_type(uf.load_scene)
reveal_type(uf.fit)
reveal_type(uf.build_tree)
reveal_type(uf.open_run("x").cut_into(3))
reveal_type(uf.run)
reveal_type(uf.segment)
reveal_type(uf.surface_from_mesh)
reveal_type(uf.open_run("x").surface.points_user)
reveal_type(next(iter(uf.open_run("x").label(uf.load_scene("y").train.cameras))))
uf.nonsense
ultrafield.masks.nonsense
"""


@pytest.mark.slow
def test_public_names_have_their_types_and_others_do_not_exist(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api", reason="needs mypy")
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    source = Path(__file__).parents[1]
    # What `make check` has found out about PyTorch and NumPy is not found out again.
    config = ["--config-file", str(source / "pyproject.toml"), "--cache-dir", str(source / ".mypy_cache")]
    said, errors, _ = api.run([*config, str(file)])
    revealed = re.findall(r'Revealed type is "(.*)"', said)
    assert len(revealed) == 10, said + errors
    tree, load_scene, fit, build_tree, segments, run, segment, from_mesh, points, labels = revealed
    assert "-> ultrafield.ultrametric.tree.Tree" in tree
    assert load_scene.startswith("def (path: ")
    assert "-> ultrafield.scene.scene.Scene" in load_scene
    assert "-> ultrafield.training.checkpoint.Fields" in fit
    assert "-> ultrafield.ultrametric.tree.Tree" in build_tree
    for array, dtype in ((segments, "signedinteger"), (points, "floating|float64"), (labels, "signedinteger")):
        assert re.search(rf"ndarray\[.*dtype\[.*({dtype})", array), array
    assert "-> ultrafield.pipeline.segmentation.Segmentation" in run
    assert "-> ultrafield.pipeline.segmentation.Segmentation" in segment
    assert "trimesh.base.Trimesh | trimesh.scene.scene.Scene | str | pathlib.Path" in from_mesh
    assert said.count('Module has no attribute "nonsense"') == 2
    assert "Any" not in {word for text in (tree, load_scene, build_tree, from_mesh) for word in text.split()}
