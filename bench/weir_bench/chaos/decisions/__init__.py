"""``make chaos-decisions``: shops ask for decisions while what decides them dies or stands still.

Judged is what callers were told against what is stored and announced, and the histories against a recomputation from the log.
"""
