"""Commands that measure what `analysis/results` reports, or write it there."""
