"""Back-test of the churn prediction on public data, with packaged alternatives in the same run."""
