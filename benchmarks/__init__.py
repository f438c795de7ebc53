"""What training costs, held against peers in the same run: `make bench`, or `python -m benchmarks.NAME` for one.

Machines are noisy, so contestants take turns and only ratios of medians are quoted. Each benchmark writes a JSON file
with machine, versions and commit to outputs/benchmarks/.
"""
