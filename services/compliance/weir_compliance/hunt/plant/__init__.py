"""The planter: values of every identifier kind of the event schema, sent through the front door in every form that it takes.

`identities` makes values, `events` puts them into events, `passing` into requests that the mesh must forget, `front_door` sends.
"""
