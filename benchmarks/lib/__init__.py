"""What the benchmarks share: options, machine, times, tables, JSON."""
