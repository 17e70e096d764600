"""Which pixels are compared: a table of named rules, each drawn for every mask, link or parent of a picture.

A *link* is a pair child ⊂ parent of masks that follow each other in a chain; a *parent* is a mask with children. A rule
names the regions of a picture from which anchor, positive and negative are drawn. `sample_pairs` on the CPU and
`DeviceMasks` on CUDA read the same table; they differ in the order in which they draw (`RuleTable.by_subject`).

Source: He et al. 2024, section 3.3 (hierarchical pairs).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

Subject = Literal["mask", "link", "parent"]
Role = Literal["self", "child", "parent", "children"]  # of masks with respect to a subject
SetKind = Literal["mask", "near", "picture"]  # a mask's pixels, those with a neighbour in it, all of its picture

SET_KINDS: tuple[SetKind, ...] = ("mask", "near", "picture")


@dataclass(frozen=True)
class Region:
    """Sampled pixels that lie in two sets and outside of some masks.

    Attributes:
        subject: There is one such region for every mask, link or parent.
        inside: The two sets, each by its kind and the role of its mask.
        outside: Role of the masks whose pixels are left out; None leaves out none.
    """

    subject: Subject
    inside: tuple[tuple[SetKind, Role], tuple[SetKind, Role]]
    outside: Role | None = None


REGIONS = {
    "inside": Region("mask", (("mask", "self"), ("mask", "self"))),
    "outside": Region("mask", (("picture", "self"), ("picture", "self")), outside="self"),
    "border": Region("mask", (("near", "self"), ("near", "self")), outside="self"),
    "shared": Region("link", (("mask", "child"), ("mask", "parent"))),
    "ring": Region("link", (("mask", "parent"), ("mask", "parent")), outside="child"),
    "ring border": Region("link", (("mask", "parent"), ("near", "child")), outside="child"),
    "uncovered": Region("parent", (("mask", "self"), ("mask", "self")), outside="children"),
}
BORDER_OF = {"outside": "border", "ring": "ring border"}  # the pixels of a region along the border that it begins at


@dataclass(frozen=True)
class Rule:
    """A kind of comparison.

    Attributes:
        name: Name of the rule.
        subject: It is drawn for every mask, link or parent.
        anchor: Region of `REGIONS`, and the role of the mask that has it; "self" for a region of the subject itself.
        positive: Likewise.
        negative: Likewise.
        least: Setting that says how many pixels each region must have; the larger of it and `min_pixels` holds.
    """

    name: str
    subject: Subject
    anchor: tuple[str, Role]
    positive: tuple[str, Role]
    negative: tuple[str, Role]
    least: Literal["min_pixels", "min_uncovered"] = "min_pixels"

    def along_border(self) -> Rule:
        """The same rule with negatives along the border of the mask that they are outside of."""
        region, role = self.negative
        return replace(self, name=f"{self.name}, border", negative=(BORDER_OF[region], role))


RULES = (
    Rule("mask", "mask", anchor=("inside", "self"), positive=("inside", "self"), negative=("outside", "self")),
    Rule("child", "link", anchor=("inside", "child"), positive=("inside", "child"), negative=("ring", "self")),
    Rule("parent", "link", anchor=("shared", "self"), positive=("ring", "self"), negative=("outside", "parent")),
    Rule(
        "uncovered",
        "parent",
        anchor=("uncovered", "self"),
        positive=("uncovered", "self"),
        negative=("outside", "parent"),
        least="min_uncovered",
    ),
)
_SUBJECTS: tuple[Subject, ...] = ("mask", "link", "parent")


@dataclass(frozen=True, eq=False)
class RuleTable:
    """The rules for some masks, as indices.

    Attributes:
        inside: The two sets of each region [R, 2], int64: number `kind · stride + mask`, with kinds numbered as in
            `SET_KINDS`.
        outside: Masks left out, region after region [X], int64.
        outside_starts: First entry of each region in `outside`, and X [R + 1], int64.
        rules: Regions of anchor, positive and negative, and the number of pixels that each must have [T, 4], int64;
            rule by rule in the order of `RULES`, those along borders last.
        kinds: Index of each row's rule, counted through the rules along borders [T], int64.
        subjects: Index of the rule's mask or link, or of a parent's first link [T], int64.
    """

    inside: np.ndarray
    outside: np.ndarray
    outside_starts: np.ndarray
    rules: np.ndarray
    kinds: np.ndarray
    subjects: np.ndarray

    def by_subject(self) -> np.ndarray:
        """The rows of `rules` ordered by subject: a link's rules side by side, parents by their first link."""
        kinds = self.kinds % len(RULES)
        groups = np.array([_SUBJECTS.index(rule.subject) for rule in RULES])[kinds]
        return self.rules[np.lexsort((kinds, self.subjects, groups, self.kinds // len(RULES)))]


def chain_links(chains: Iterable[Sequence[int]]) -> np.ndarray:
    """The links of some chains leaf ⊂ parent ⊂ … [L, 2] (child, parent), int64, sorted; each once."""
    links = sorted({link for chain in chains for link in pairwise(chain)})
    return np.array(links, np.int64).reshape(-1, 2)


def rule_table(
    count: int, links: np.ndarray, *, stride: int, borders: bool, min_pixels: int, min_uncovered: int
) -> RuleTable:
    """The rules for `count` masks.

    Args:
        count: Number of masks M.
        links: Child and parent of each link [L, 2], int64, from `chain_links`; none for comparisons without hierarchy.
        stride: Distance between the numbers of a mask's sets of different kinds, ≥ M.
        borders: Whether every rule is drawn once more along borders.
        min_pixels: Pixels that each region of a rule must have.
        min_uncovered: Pixels that each region of the rule "uncovered" must have, if that is more.
    """
    roles, children, first_links = _roles(count, links)
    names = [name for name in REGIONS if borders or name not in BORDER_OF.values()]
    sizes = [len(roles[REGIONS[name].subject]["self"]) for name in names]
    starts = dict(zip(names, np.cumsum([0, *sizes]).tolist(), strict=False))
    outside = [_left_out(REGIONS[name], roles, children) for name in names]
    least = {"min_pixels": min_pixels, "min_uncovered": max(min_pixels, min_uncovered)}
    positions = {"mask": np.arange(count), "link": np.arange(len(links)), "parent": first_links}

    def numbers(region: str, role: Role, subject: Subject) -> np.ndarray:
        """Numbers of the regions that a rule names, one for each of its subjects."""
        own = REGIONS[region].subject == subject and role == "self"
        index = np.arange(len(roles[subject]["self"])) if own else roles[subject][role]
        return starts[region] + index

    rules, kinds, subjects = [], [], []
    for kind, rule in enumerate((*RULES, *(rule.along_border() for rule in RULES)) if borders else RULES):
        parts = [numbers(*place, rule.subject) for place in (rule.anchor, rule.positive, rule.negative)]
        rules.append(np.stack([*parts, np.full(len(parts[0]), least[rule.least])], axis=1))
        kinds.append(np.full(len(parts[0]), kind))
        subjects.append(positions[rule.subject])
    return RuleTable(
        np.concatenate([_sets(REGIONS[name], roles, stride) for name in names]),
        np.concatenate([masks for masks, _ in outside]),
        np.concatenate([[0], np.cumsum(np.concatenate([counts for _, counts in outside]))]),
        np.concatenate(rules),
        np.concatenate(kinds),
        np.concatenate(subjects),
    )


_Roles = dict[Subject, dict[Role, np.ndarray]]


def _roles(count: int, links: np.ndarray) -> tuple[_Roles, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The masks of each role, by subject; each parent's children and their number; and each parent's first link."""
    child, parent = links.T
    parents, first_links, counts = np.unique(parent, return_index=True, return_counts=True)
    masks = np.arange(count)
    roles: _Roles = {
        "mask": {"self": masks},
        "link": {"self": np.arange(len(links)), "child": child, "parent": parent},
        "parent": {"self": parents, "parent": parents},
    }
    return roles, (child[np.argsort(parent, kind="stable")], counts), first_links


def _sets(region: Region, roles: _Roles, stride: int) -> np.ndarray:
    """Numbers of the two sets that each region of a name lies in [R, 2]."""
    masks = roles[region.subject]
    return np.stack([SET_KINDS.index(kind) * stride + masks[role] for kind, role in region.inside], axis=1)


def _left_out(region: Region, roles: _Roles, children: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Masks that the regions of a name leave out, one region after the other, and their number for each region."""
    masks = roles[region.subject]
    if region.outside == "children":
        return children
    if region.outside is None:
        return np.zeros(0, np.int64), np.zeros(len(masks["self"]), np.int64)
    return masks[region.outside], np.ones(len(masks["self"]), np.int64)
