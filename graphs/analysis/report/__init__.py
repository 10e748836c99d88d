"""A report: all that a run or a comparison came to, as one HTML file that needs nothing else."""
