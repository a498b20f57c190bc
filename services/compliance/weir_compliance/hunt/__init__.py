"""The hunter: looks for planted values in every store of the mesh, decoded, and says where each is.

`spellings` and `matcher` say what is looked for, `stores/` where (one module a store), `search` does it, `report` shows it.
`prove` shows that the hunter is not blind; `plant/` makes the values and sends them through the front door.
"""
