"""The port's verbs on SQLite, part by part: each one job for the writer or one query for a reader."""
