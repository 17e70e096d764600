"""The table of rules against sets of pixels made mask by mask."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.training.contrast.rules import BORDER_OF, REGIONS, RULES, RuleTable, chain_links, rule_table

PIXELS = frozenset(range(12))
MASKS = [frozenset(range(4)), frozenset(range(4, 7)), frozenset(range(8)), frozenset(range(10)), frozenset({11})]
NEAR = [mask | {max(mask) + 1} for mask in MASKS]
CHAINS = [[0, 2, 3], [1, 2, 3], [4]]
STRIDE = 8


def pixels_of(table: RuleTable, region: int) -> frozenset[int]:
    """The pixels of a region, from its indices."""
    sets = {0: MASKS, 1: NEAR, 2: [PIXELS] * len(MASKS)}
    one, other = (sets[number // STRIDE][number % STRIDE] for number in table.inside[region].tolist())
    first, last = table.outside_starts[region : region + 2]
    return (one & other).difference(*(MASKS[mask] for mask in table.outside[first:last].tolist()))


def rules_of(table: RuleTable, rules: np.ndarray) -> list[tuple[frozenset[int], frozenset[int], frozenset[int], int]]:
    return [(*(pixels_of(table, region) for region in row[:3]), row[3]) for row in rules.tolist()]


def expected_rules(*, borders: bool) -> list[tuple[frozenset[int], frozenset[int], frozenset[int], int]]:
    """The comparisons of the paper, one `for` each; `min_pixels` is 2 and `min_uncovered` 3."""
    rules = []
    for along in (False, True) if borders else (False,):
        outside = [(near if along else PIXELS) - mask for mask, near in zip(MASKS, NEAR, strict=True)]
        links = [(0, 2), (1, 2), (2, 3)]
        rings = [MASKS[parent] & (NEAR[child] if along else PIXELS) - MASKS[child] for child, parent in links]
        rules += [(mask, mask, rest, 2) for mask, rest in zip(MASKS, outside, strict=True)]
        rules += [(MASKS[child], MASKS[child], ring, 2) for (child, _), ring in zip(links, rings, strict=True)]
        whole = [MASKS[parent] - MASKS[child] for child, parent in links]
        rules += [(MASKS[c] & MASKS[p], ring, outside[p], 2) for (c, p), ring in zip(links, whole, strict=True)]
        rest = {2: MASKS[2] - MASKS[0] - MASKS[1], 3: MASKS[3] - MASKS[2]}
        rules += [(part, part, outside[parent], 3) for parent, part in rest.items()]
    return rules


@pytest.mark.parametrize("borders", [False, True])
def test_rules_are_those_of_the_paper(borders):
    links = chain_links(CHAINS)
    assert links.tolist() == [[0, 2], [1, 2], [2, 3]]
    table = rule_table(5, links, stride=STRIDE, borders=borders, min_pixels=2, min_uncovered=3)
    assert rules_of(table, table.rules) == expected_rules(borders=borders)


def test_by_subject_a_links_rules_lie_side_by_side():
    table = rule_table(5, chain_links(CHAINS), stride=STRIDE, borders=True, min_pixels=2, min_uncovered=3)
    rules = rules_of(table, table.by_subject())
    plain = expected_rules(borders=False)
    order = [*range(5), 5, 8, 6, 9, 7, 10, 11, 12]  # masks; (child, parent) of each link; parents
    assert rules[: len(plain)] == [plain[index] for index in order]
    assert sorted(map(repr, rules)) == sorted(map(repr, rules_of(table, table.rules)))


def test_parents_follow_their_first_links():
    links = chain_links([[0, 4], [1, 2], [3, 2]])
    table = rule_table(5, links, stride=STRIDE, borders=False, min_pixels=1, min_uncovered=1)
    uncovered = [index for index, kind in enumerate(table.kinds) if RULES[kind].name == "uncovered"]
    assert table.inside[table.rules[uncovered, 0], 0].tolist() == [2, 4]
    assert table.inside[table.by_subject()[-2:, 0], 0].tolist() == [4, 2]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_links_only_masks_have_rules(count):
    table = rule_table(count, chain_links([]), stride=STRIDE, borders=False, min_pixels=2, min_uncovered=3)
    assert [RULES[kind].name for kind in table.kinds] == ["mask"] * count
    assert table.by_subject().tolist() == table.rules.tolist()


def test_every_rule_names_regions_that_exist():
    for rule in RULES:
        places = (rule.anchor, rule.positive, rule.negative, rule.along_border().negative)
        assert {region for region, _ in places} <= REGIONS.keys()
        assert BORDER_OF[rule.negative[0]] in REGIONS
