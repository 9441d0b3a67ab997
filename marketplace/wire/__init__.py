"""The public language: request and response structs, one file a module, shared by routes and the client.

Plain msgspec structs and nothing else: importing them loads neither a web framework nor a database.
"""
