"""``make chaos-ingest``: what dies, stalls or is cut off while clients send; and what must be true of their events afterwards.

``plan`` says which faults, ``faults/`` does them (a module a kind, each proves that it happened), ``client`` sends, ``recovery``
times the way back, ``stores`` reads what is there, ``judgement`` compares. ``run`` holds it together.
"""
