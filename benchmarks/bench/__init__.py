"""The runner of the comparison: servers, environments, workloads, and the report made of what they gave."""
