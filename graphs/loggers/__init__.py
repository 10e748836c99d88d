"""Loggers that are told a run's figures: TensorBoard, Weights & Biases, MLflow."""
