"""sweep.html, sweep.csv and sweep.md: the page of a folder of runs."""
