"""The machinery of the benchmarks: who is measured, in which order, with which bounds; the report."""
