"""One module for each group of rows; a new one is found by being here."""
