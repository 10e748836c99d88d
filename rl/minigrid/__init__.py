"""MiniGrid behind the task seam: levels, the remembered map, situations, options."""
