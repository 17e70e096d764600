"""What a type checker sees at the front door."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROGRAM = """
import ultrafield as uf

reveal_type(uf.Tree)
reveal_type(uf.load_scene)
reveal_type(uf.fit)
reveal_type(uf.build_tree)
reveal_type(uf.open_run("x").cut_into(3))
uf.nonsense
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
    assert len(revealed) == 5, said + errors
    tree, load_scene, fit, build_tree, segments = revealed
    assert "-> ultrafield.ultrametric.tree.Tree" in tree
    assert load_scene.startswith("def (path: ")
    assert "-> ultrafield.scene.scene.Scene" in load_scene
    assert "-> ultrafield.training.checkpoint.Fields" in fit
    assert "-> ultrafield.ultrametric.tree.Tree" in build_tree
    assert "ndarray" in segments
    assert 'Module has no attribute "nonsense"' in said
    assert "Any" not in {word for text in (tree, load_scene, build_tree) for word in text.split()}
