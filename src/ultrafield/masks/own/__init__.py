"""Masks as other tools store them: COCO, panoptic, segment-anything's generator, stacks, objects of a video."""
