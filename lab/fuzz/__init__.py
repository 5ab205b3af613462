"""A fuzzer of the pack's nodes: graphs made around every node's schema, perturbed, run, classed and made small."""
