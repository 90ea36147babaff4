"""The types of a report and their JSON; nothing here computes."""
