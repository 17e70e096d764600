"""Networks that put pictures and texts into one space (CLIP, SigLIP), and what they say of pieces of pictures."""
