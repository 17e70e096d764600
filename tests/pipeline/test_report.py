"""report.html of a run: written once, by `run`, and tried in a browser where there is one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from headless import complaints, violations

from ultrafield import cli


def test_the_report_is_made_once_and_again_after_names(
    tiny_scene: Path, tiny_run: Path, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    before = (run / "report.html").read_text(encoding="utf-8")
    assert before.startswith("<!DOCTYPE html>")
    assert "Training" in before
    arguments = ["run", str(tiny_scene), "--out", str(run), "--engine", "field", *tiny]
    assert cli.main(arguments) == 0
    assert "report …" not in capsys.readouterr().err
    assert cli.main(["name", str(run), "--node", "70", "--name", "a <mug>"]) == 0
    assert cli.main(arguments) == 0
    error = capsys.readouterr().err
    assert "report …" in error
    assert "segment: done before, kept" in error
    assert "a &lt;mug&gt;" in (run / "report.html").read_text(encoding="utf-8")
    (run / "log.jsonl").write_text('{"stage": "geometry", "step": 0, "color": 0.5}\nnonsense\n[]\n')
    (run / "report.html").unlink()
    assert cli.main(arguments) == 0
    assert (run / "report.html").is_file()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of selenium's sockets
def test_the_report_in_a_browser(tiny_run: Path, tmp_path: Path, browser: Any) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    browser.get((run / "report.html").as_uri())

    def shown() -> set[str]:
        return set(
            browser.execute_script(
                "return [...document.querySelectorAll('.map:not([hidden])')].map(i => i.dataset.level)"
            )
        )

    slider = browser.find_element("id", "level")
    start = slider.get_attribute("value")
    assert shown() == {start}
    slider.send_keys("\ue012")  # the left arrow key
    assert shown() == {str(int(start) - 1)}
    assert browser.find_element("id", "level-facts").text.startswith(f"Level {int(start) - 1} of")
    loaded = "return [...document.images].filter(i => !i.complete || i.naturalWidth === 0).length"
    assert browser.execute_script(loaded) == 0
    root = browser.find_element("css selector", ".tree summary .facts").text.split()[0]
    browser.find_element("id", "find").send_keys(root)
    assert browser.find_element("id", "find-count").text.endswith("found")
    assert (
        browser.execute_script(
            "return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length"
        )
        == 0
    )
    assert complaints(browser) == []
    for scheme, width in (("light", 390), ("dark", 1280)):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.set_window_size(width, 900)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert violations(browser) == []
