"""What is registered in MLflow, and how it is opened."""
