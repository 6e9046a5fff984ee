"""The live dashboard: static pages that use the REST API as any client may, with a bearer token.

`gateway.dashboard.assets` knows the files and the headers, `gateway.dashboard.handlers` serves them. Guarantees that nothing served here comes from, or
points to, another host; that it holds no data of the cluster, so that it needs no token; and that no script runs which is not one of its files.
"""
