"""What is measured on the counterfactuals and predictions of the models."""
