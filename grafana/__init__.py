"""Dashboards for Grafana and rules for Prometheus, over the metrics of docs/metrics.md.

`boards/` describes the dashboards as data, `build` makes `dashboards/*.json` of them, `lint` keeps them honest. Rules are in `rules/`, a page for each
alert in docs/runbooks/. Nothing of this is installed with Ambient VCP: it is for whoever runs Prometheus and Grafana.
"""
