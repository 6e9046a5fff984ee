"""What every process tells of itself to Prometheus: one catalogue of names, one board of values, one page.

A metric is a row in `metrics.catalogue` and a source that says its value when the page is asked for; nothing is counted twice, as sources
read what the process knows anyway. `docs/metrics.md` is the catalogue for people, compared with this one by a test.
"""
