"""The protocol described from its own structs: a page, JSON Schemas, an AsyncAPI document, an example of each event."""
