"""Any Gymnasium environment as a task: what people write of it, and the adapter behind the seam."""
