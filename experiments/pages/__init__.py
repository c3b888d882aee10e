"""A run as tables for Markdown, terminal and HTML, made from one list of columns."""
