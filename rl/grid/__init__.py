"""MiniGrid behind the task seam: levels, the remembered map, signatures, options."""
