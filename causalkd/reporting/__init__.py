"""The words and tables that are made from results."""
