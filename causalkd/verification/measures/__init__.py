"""The measurements of the models' counterfactuals and predictions."""
