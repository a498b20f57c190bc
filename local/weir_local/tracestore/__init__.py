"""A small trace store for the native mesh: OTLP over gRPC in, SQLite, JSON and one readable page out.

It is here because no collector with a query API comes as a package. It keeps what the last hours' traces need and no more.
"""
