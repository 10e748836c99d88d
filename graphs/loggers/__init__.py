"""Where else a run's figures go, if asked: TensorBoard, Weights & Biases, MLflow; a file each."""
