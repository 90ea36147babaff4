"""The types of a report and their JSON; this folder imports nothing that computes."""
