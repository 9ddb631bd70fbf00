"""Pages for the people who run the bridge. Rendered on the server; nothing here talks to another system.

`lazy` is imported with the receiver, everything else with the first page that somebody asks for.
"""
