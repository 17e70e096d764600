"""Runs the notebooks of the documentation and stores small outputs in them: python docs/tools/notebooks.py [NAME …].

Cells run one after the other in this process, as in a fresh kernel, in a folder that is removed afterwards.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "notebooks"
_DPI = 64
_COLORS = 128  # of the stored pictures


def run_notebook(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run all cells of a notebook in the current folder.

    Returns:
        The notebook with its outputs, and the names that its cells have defined.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    notebook = json.loads(file.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = _run_cell("".join(cell["source"]), file.name, names)
            cell["execution_count"] = None
    pyplot.close("all")
    return notebook, names


def _run_cell(source: str, name: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Outputs of a cell: what it prints, its figures, and the value of its last line if that is an expression."""
    body = ast.parse(source, name).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(ast.Module(body, []), name, "exec"), names)
        value = None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), names)
    outputs: list[dict[str, Any]] = []
    if said.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": said.getvalue().splitlines(keepends=True)})
    figures = _figures()
    if value is not None and not figures:
        outputs.append({"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": _text(value)})
    return outputs + figures


def _text(value: Any) -> dict[str, list[str]]:
    return {"text/plain": repr(value).splitlines(keepends=True)}


def _figures() -> list[dict[str, Any]]:
    """The open figures as pictures of few colours; they are closed."""
    from matplotlib import pyplot
    from PIL import Image

    outputs = []
    for number in pyplot.get_fignums():
        drawn, small = io.BytesIO(), io.BytesIO()
        pyplot.figure(number).savefig(drawn, dpi=_DPI, bbox_inches="tight")
        Image.open(drawn).convert("RGB").quantize(_COLORS).save(small, "PNG", optimize=True)
        data = {"image/png": base64.b64encode(small.getvalue()).decode(), "text/plain": ["<Figure>"]}
        outputs.append({"output_type": "display_data", "metadata": {}, "data": data})
    pyplot.close("all")
    return outputs


def main() -> None:
    """Run the notebooks that are named, or all, and store their outputs."""
    for file in sorted(FOLDER.glob("*.ipynb")):
        if len(sys.argv) > 1 and file.stem not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            notebook, _ = run_notebook(file)
        file.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{file.name}: {os.path.getsize(file) / 1024:.0f} KB")


if __name__ == "__main__":
    main()
