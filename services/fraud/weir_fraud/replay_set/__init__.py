"""Stored decisions that every release must make again to the last bit: the set that is committed and replayed by CI.

`make.py` decides them, by a fixed seed, through the use cases of the service; `document.py` is their form on disk, a folder of text;
`check.py` replays them. A folder is never written anew: what it holds is the past.
"""
