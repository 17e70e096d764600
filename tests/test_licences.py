"""What `pip install ultrafield` brings along may be used in a program under the MIT licence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.message import Message
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# SPDX identifiers, and the words of older metadata that mean the same.
PERMISSIVE = {
    *("MIT", "MIT License", "The MIT License", "The MIT License (MIT)", "MIT-0", "0BSD", "ISC", "Zlib", "BSL-1.0"),
    *("BSD", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "BSD 3-Clause", "New BSD", "Unlicense", "CC0-1.0"),
    *("Apache 2.0", "Apache-2.0", "Apache License 2.0", "Apache Software License", "LLVM-exception"),
    *("PSF-2.0", "Python-2.0", "Python Software Foundation License", "HPND", "MIT-CMU", "NCSA"),
    # Weak copyleft of single files, which a program may use and need not adopt.
    *("MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"),
}

# Pattern of names: why they may be installed all the same. Nothing here is copyleft.
EXCEPTIONS = {
    "nvidia-*": "NVIDIA's CUDA libraries, proprietary and free to use; PyTorch's wheels for Linux require them, "
    "Ultrafield neither contains nor changes them",
    "cuda-*": "names of NVIDIA's that require the packages nvidia-*, under the same terms",
}


def default_packages(root: str) -> dict[str, Message]:
    """Metadata by name of all that the distribution `root` requires here, itself and extras of its own excluded."""
    packages: dict[str, Message] = {}
    waiting = [(root, frozenset[str]())]
    looked_at = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        found = distribution(name)
        if name != root:
            packages[name] = found.metadata
        for requirement in map(Requirement, found.requires or ()):
            if not any(
                requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            ):
                continue
            following = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if following not in looked_at:
                looked_at.add(following)
                waiting.append(following)
    return packages


def licences(metadata: Message) -> list[str]:
    """Licences that a distribution states: its SPDX expression, or else its classifiers, or else its free text."""
    if expression := metadata.get("License-Expression"):
        return [expression]
    classifiers = [text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier", ()) if "License ::" in text]
    classifiers = [text for text in classifiers if text != "OSI Approved"]
    text = (metadata.get("License") or "").strip()
    return classifiers or ([text.splitlines()[0].strip()] if text else [])


def permitted(expression: str) -> bool:
    """Whether an SPDX expression, or a licence in older words, asks for nothing but permissive licences."""
    if expression in PERMISSIVE:
        return True
    plain = re.sub(r"[()]", " ", expression)
    if " OR " in plain and "AND" not in plain:
        return any(permitted(part.strip()) for part in plain.split(" OR "))
    return all(part.strip() in PERMISSIVE for part in re.split(r" AND | WITH ", plain))


def faults(packages: Iterable[tuple[str, Message]]) -> list[str]:
    """One line for each package whose licence is unknown or not permitted."""
    lines = []
    for name, metadata in packages:
        stated = licences(metadata)
        if any(fnmatch(name, pattern) for pattern in EXCEPTIONS) and "GPL" not in " ".join(stated):
            continue
        if not stated or not all(permitted(text) for text in stated):
            lines.append(f"{name}: {', '.join(stated) or 'states no licence'}")
    return lines


@pytest.fixture
def installed() -> None:
    """Skip where the package is on the path but not installed, so that nothing says what it requires."""
    try:
        distribution("ultrafield")
    except PackageNotFoundError:
        pytest.skip("needs ultrafield to be installed")


@pytest.mark.usefixtures("installed")
def test_what_is_installed_by_default_is_permissive():
    try:
        packages = default_packages("ultrafield")
    except PackageNotFoundError as missing:
        pytest.fail(f"{missing.name} is required but not installed; the environment is older than pyproject.toml")
    assert {"torch", "numpy", "numba", "trimesh", "sympy"} <= set(packages)
    assert faults(sorted(packages.items())) == []


@pytest.mark.usefixtures("installed")
def test_optional_packages_are_not_installed_by_default():
    assert not {"embreex", "higra", "plyfile"} & set(default_packages("ultrafield"))


def metadata(**headers: str) -> Message:
    message = Message()
    for name, text in headers.items():
        for line in text.split(";"):
            message[name.replace("_", "-")] = line
    return message


@pytest.mark.parametrize(
    "bad",
    [
        metadata(License="GNU General Public License v3 (GPLv3)"),
        metadata(License_Expression="GPL-3.0-or-later"),
        metadata(License_Expression="MIT AND LGPL-2.1-only"),
        metadata(License_Expression="(MIT OR Apache-2.0) AND AGPL-3.0-only"),
        metadata(Classifier="License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", License="MIT"),
        metadata(Classifier="License :: OSI Approved :: MIT License;License :: OSI Approved :: GNU GPL"),
        metadata(License="see the website"),
        metadata(),
    ],
)
def test_copyleft_and_unknown_licences_are_found(bad: Message):
    assert len(faults([("package", bad)])) == 1


@pytest.mark.parametrize(
    "good",
    [
        metadata(License="MIT"),
        metadata(License="The MIT License (MIT)\n\nCopyright"),
        metadata(License_Expression="Apache-2.0 WITH LLVM-exception AND BSD-2-Clause"),
        metadata(License_Expression="MIT OR GPL-3.0-only"),
        metadata(Classifier="License :: OSI Approved;License :: OSI Approved :: BSD License"),
    ],
)
def test_permissive_licences_pass(good: Message):
    assert faults([("package", good)]) == []


def test_an_exception_covers_proprietary_packages_by_name_only():
    proprietary = metadata(License="NVIDIA Proprietary Software")
    assert faults([("nvidia-cublas", proprietary)]) == []
    assert len(faults([("cublas", proprietary)])) == 1
    assert len(faults([("nvidia-cublas", metadata(License_Expression="GPL-3.0-only"))])) == 1
